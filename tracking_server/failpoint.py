"""Moments at which a kill is most likely to lose or double something: a test makes a process end exactly there.

A process started with `FAULT_AT=NAME` ends itself by SIGKILL the first time that it comes to that place, with
`FAULT_AT=NAME:N` the Nth time. Nobody else notices these calls. Random kills seldom hit a moment of 50 microseconds.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Literal, get_args

Place = Literal[
    "before_commit",  # a flush has written everything, and nothing of it is durable
    "after_commit_before_ack",  # it is durable, and no phone knows
    "after_commit_before_publish",  # phones know, and no page
    "after_claim",  # a message is drafted and begun, and not sent
    "after_gateway_accept_before_mark",  # the gateway has the message, and the store says that it is owed
    "during_migration",  # a revision is written and not committed; those before it are
]
PLACES: tuple[Place, ...] = get_args(Place)


def read_place(wanted: str) -> tuple[str, int]:
    """Which place, and the how manyeth passage; an empty name for none. Raises `ValueError` on what is no place."""
    name, _, count = wanted.partition(":")
    if wanted and (name not in PLACES or not (count or "1").isdecimal()):
        raise ValueError(f"FAULT_AT={wanted}: there is no such place; name one of {', '.join(PLACES)}")
    return name, int(count or 1)


try:
    AT, left = read_place(os.environ.get("FAULT_AT", ""))
except ValueError as error:
    sys.exit(str(error))


def failpoint(place: Place) -> None:
    """End here, without a goodbye, if this process was started to."""
    if place == AT:
        _pass_by()


def _pass_by() -> None:
    global left
    left -= 1
    if left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
