"""Proof of a visit until the visit is ended: on the phone's disk, still to be retaken or thrown away.

When the job is done, or cannot be, its drafts are queued to be sent. The list of them is remembered in the outbox's
file, so a phone that dies in between finds them again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from uuid import uuid4

from tech_app.core.jobs import Job, Proof, State
from tech_app.core.outbox import NoRoom, Outbox, QueuedFile

MEMORY = "drafts"
# Of a job that left the phone: somebody may still ask for them.
KEEP_S = 3 * 86_400.0


@dataclass(frozen=True, slots=True)
class Draft:
    """A photo or a signature. `queued`: it is on its way to the service, or there, and stays."""

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
        self._drafts = _read(outbox.recall(MEMORY))
        wanted = {self.path(draft) for draft in self._drafts} | {file.path for file in outbox.pending_files()}
        for path in folder.iterdir():
            if path not in wanted:
                path.unlink(missing_ok=True)  # left by a phone that died between two steps

    def of(self, job_id: str) -> tuple[Draft, ...]:
        """What there is for a job."""
        return tuple(draft for draft in self._drafts if draft.job == job_id)

    def given(self, job_id: str) -> frozenset[Proof]:
        """The kinds of proof that a job has."""
        return frozenset(draft.kind for draft in self.of(job_id))

    def path(self, draft: Draft) -> Path:
        """Where the picture lies. One that the service has may be gone."""
        return self._folder / draft.name

    def add(self, job_id: str, kind: Proof, data: bytes, now_s: float) -> Draft:
        """Keep a picture; it is on the disk then. A signature takes the place of the one before.

        Raises `NoRoom` of the outbox.
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
        replaced = [d for d in self.of(job_id) if kind is Proof.signature and d.kind is kind and not d.queued]
        self._keep([*(d for d in self._drafts if d not in replaced), draft])
        for old in replaced:
            self.path(old).unlink(missing_ok=True)
        return draft

    def remove(self, draft: Draft) -> None:
        """Throw a picture away that is not queued yet."""
        if draft.queued or draft not in self._drafts:
            return
        self._keep([other for other in self._drafts if other != draft])
        self.path(draft).unlink(missing_ok=True)

    def hand_over(self, jobs: Iterable[Job], now_s: float) -> bool:
        """Queue the pictures of the jobs that are ended; returns whether there were any. Again is no harm.

        What belongs to jobs that left the phone goes after three days.
        """
        known = {job.id: job for job in jobs}
        ended = {job.id for job in known.values() if job.state in (State.completed, State.no_access)}
        due = [draft for draft in self._drafts if draft.job in ended and not draft.queued]
        for draft in due:
            path = self.path(draft)
            self._outbox.add_file(
                QueuedFile(draft.id, draft.job, draft.kind.value, path, draft.sha256, draft.size, draft.made_s)
            )
        kept = [
            replace(draft, queued=True) if draft in due else draft
            for draft in self._drafts
            if draft.job in known or now_s - draft.made_s < KEEP_S
        ]
        gone = _not_in(self._drafts, {draft.id for draft in kept})
        if due or gone:
            self._keep(kept)
        for draft in gone:
            if not draft.queued:
                self.path(draft).unlink(missing_ok=True)
        return bool(due)

    def _keep(self, drafts: list[Draft]) -> None:
        self._outbox.remember({MEMORY: json.dumps([asdict(draft) for draft in drafts])})
        self._drafts = drafts


def _not_in(drafts: Iterable[Draft], ids: Collection[str]) -> list[Draft]:
    return [draft for draft in drafts if draft.id not in ids]


def _read(text: str | None) -> list[Draft]:
    said = [] if text is None else json.loads(text)
    return [Draft(**{**draft, "kind": Proof(draft["kind"])}) for draft in said]
