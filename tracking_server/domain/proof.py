"""What a visit asks for as proof: by the firm's rule, unless the job has its own."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Proof(StrEnum):
    """What can be asked for."""

    photo = "photo"
    signature = "signature"
    note = "note"


class Rule(StrEnum):
    """Whether it is asked for."""

    required = "required"
    optional = "optional"
    off = "off"


def rules(firm: Mapping[Proof, Rule], job: Mapping[str, str]) -> dict[Proof, Rule]:
    """What a job asks for; what is not named is optional. Words that are none, in a job's own, are passed over."""
    own = {Proof(name): Rule(rule) for name, rule in job.items() if name in set(Proof) and rule in set(Rule)}
    return {proof: rule for proof in Proof if (rule := own.get(proof, firm.get(proof))) is not None}


class FileVerdict(StrEnum):
    """Why a photo or a signature is kept and not shown."""

    not_yours = "not_yours"  # the visit is somebody else's, or there is none
    unreadable = "unreadable"
    too_many = "too_many"
