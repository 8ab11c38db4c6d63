"""Proof of a visit until the visit is ended: on the phone's disk, still to be retaken or thrown away.

When the job is done, or cannot be, its drafts are queued to be sent. The list of them is remembered in the outbox's
file, those that were sent included: so a phone that dies in between finds them again, and a job that is undone and
done again has its proof.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from uuid import uuid4

from tech_app.core.jobs import Proof
from tech_app.core.outbox import NoRoom, Outbox, QueuedFile

MEMORY = "drafts"
# Of a job that left the phone: somebody may still ask for them.
KEEP_S = 3 * 86_400.0


@dataclass(frozen=True, slots=True)
class Draft:
    """A photo or a signature. One that is `queued` is on its way to the service, or there, and stays."""

    id: str
    job: str
    kind: Proof
    name: str
    sha256: str
    size: int
    made_s: float
    queued: bool = False


class Drafts:
    """The drafts of all jobs, in the order in which they were made."""

    def __init__(self, outbox: Outbox, folder: Path) -> None:
        """`folder` is made when it is not there; pictures in it that nothing refers to are deleted."""
        folder.mkdir(parents=True, exist_ok=True)
        self._outbox = outbox
        self._folder = folder
        remembered = _read(outbox.recall(MEMORY))
        pending = {file.id: file.path for file in outbox.pending_files()}
        remembered = [replace(draft, queued=draft.queued or draft.id in pending) for draft in remembered]
        self._drafts = [draft for draft in remembered if draft.queued or self.path(draft).exists()]
        wanted = {self.path(draft) for draft in self._drafts} | set(pending.values())
        for path in folder.iterdir():
            if path not in wanted:
                path.unlink(missing_ok=True)  # left by a phone that died between two steps

    def of(self, job_id: str) -> tuple[Draft, ...]:
        """What there is for a job."""
        return tuple(draft for draft in self._drafts if draft.job == job_id)

    def pictures(self, job_id: str) -> dict[Proof, int]:
        """How many there are of each kind."""
        kinds = [draft.kind for draft in self.of(job_id)]
        return {kind: kinds.count(kind) for kind in Proof if kind in kinds}

    def path(self, draft: Draft) -> Path:
        """Where the picture lies; one that was sent is gone from there."""
        return self._folder / draft.name

    def add(self, job_id: str, kind: Proof, data: bytes, now_s: float) -> Draft:
        """Keep a picture; it is on the disk then. A signature takes the place of the one before.

        Raises `NoRoom`.
        """
        id_ = str(uuid4())
        name = f"{id_}.{'png' if kind is Proof.signature else 'jpg'}"
        draft = Draft(id_, job_id, kind, name, hashlib.sha256(data).hexdigest(), len(data), now_s)
        try:
            with self.path(draft).open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self.path(draft).unlink(missing_ok=True)
            raise NoRoom(NoRoom.__doc__) from error
        replaced = [old for old in self.of(job_id) if kind is Proof.signature is old.kind and not old.queued]
        self._keep([*(old for old in self._drafts if old not in replaced), draft])
        for old in replaced:
            self.path(old).unlink(missing_ok=True)
        return draft

    def remove(self, draft: Draft) -> None:
        """Throw a picture away, unless it is queued."""
        if draft in self._drafts and not draft.queued:
            self._keep([other for other in self._drafts if other != draft])
            self.path(draft).unlink(missing_ok=True)

    def hand_over(self, job_id: str) -> None:
        """Queue the pictures of a job. Raises `NoRoom`."""
        due = [draft for draft in self.of(job_id) if not draft.queued]
        for draft in due:
            path, kind = self.path(draft), draft.kind.value
            self._outbox.add_file(QueuedFile(draft.id, job_id, kind, path, draft.sha256, draft.size, draft.made_s))
        if due:
            self._keep([replace(draft, queued=True) if draft in due else draft for draft in self._drafts])

    def clear(self, job_ids: Collection[str], now_s: float) -> None:
        """Forget what is older than three days and belongs to none of these jobs; what was never queued is deleted."""
        old = [draft for draft in self._drafts if draft.job not in job_ids and now_s - draft.made_s >= KEEP_S]
        if old:
            self._keep([draft for draft in self._drafts if draft not in old])
        for draft in old:
            if not draft.queued:
                self.path(draft).unlink(missing_ok=True)

    def _keep(self, drafts: list[Draft]) -> None:
        self._outbox.remember({MEMORY: json.dumps([asdict(draft) for draft in drafts])})
        self._drafts = drafts


def _read(text: str | None) -> list[Draft]:
    said = [] if text is None else json.loads(text)
    return [Draft(**{**draft, "kind": Proof(draft["kind"])}) for draft in said]
