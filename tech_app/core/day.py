"""The technician's day on the phone: what they tap changes their own screen at once, and waits in the outbox.

Shift and jobs are remembered in the same file, and in the same transaction, as the taps that made them: a phone that
dies in the middle shows what it had kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import replace

from tech_app.core.clock import Clock
from tech_app.core.jobs import (
    Job,
    Proof,
    Tiding,
    after_tap,
    merge,
    missing_proof,
    possible_taps,
    read_jobs,
    write_jobs,
    write_tiding,
)
from tech_app.core.outbox import NoRoom, Outbox
from tech_app.core.shift import Shift, after_shift_tap, duty, possible_shift_taps, read_shift
from tech_app.core.tap import Tap, TapKind
from tech_app.core.tracking import Duty


class NotNow(Exception):
    """This cannot be tapped now."""


class ProofMissing(Exception):
    """The job asks for proof that is not there yet."""

    def __init__(self, proof: Sequence[Proof]) -> None:
        super().__init__(f"before this job is done it needs: {', '.join(proof)}")
        self.proof = tuple(proof)


class Day:
    """Shift and jobs, as this process knows them; `reload` when the other one wrote."""

    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self.shift = Shift()
        self.jobs: tuple[Job, ...] = ()
        self._outbox = outbox
        self._clock = clock
        self.reload()

    def reload(self) -> None:
        """Read what was remembered last."""
        self.shift = read_shift(self._outbox.recall("shift"))
        kept = self._outbox.recall("jobs")
        self.jobs = () if kept is None else read_jobs(kept)

    @property
    def duty(self) -> Duty:
        return duty(self.shift, self.jobs)

    def tap(
        self,
        kind: TapKind,
        job_id: str | None = None,
        *,
        reason: str | None = None,
        text: str | None = None,
        minutes: int | None = None,
        proof: Collection[Proof] = (),
    ) -> None:
        """Do it now, and tell the service when it can be told. `proof` is what the job has of it, waiting or sent.

        Raises `NotNow`, `ProofMissing`, or `NoRoom` of the outbox; nothing has changed then.
        """
        tap = Tap(self._clock.now(), kind, job_id, reason, text, minutes)
        try:
            with self._outbox.at_once():
                self.reload()
                if job_id is None:
                    self._tap_shift(tap)
                else:
                    self._tap_job(tap, proof)
        except (NoRoom, sqlite3.Error):  # most often when all of it was to be written down, at the end
            self.reload()
            raise

    def fetched(self, text: str, pending: Sequence[Tap], etag: str = "") -> list[Tiding]:
        """Take the jobs that the service told; `pending` are the taps that waited when the fetch began.

        Keeps them with the `etag` of the answer, and with what to tell the technician, which it returns: nothing when
        these are the first jobs of all. Raises ValueError when these are no jobs.
        """
        told = read_jobs(text)
        with self._outbox.at_once():
            self.reload()
            first = self._outbox.recall("jobs") is None
            made_meanwhile = [tap for tap in self._outbox.pending_taps() if tap not in pending]
            self.jobs, tidings = merge(self.jobs, told, [*pending, *made_meanwhile])
            if first:
                tidings = []
            self._outbox.remember({"jobs": write_jobs(self.jobs), "jobs_etag": etag})
            self._outbox.append_tidings([write_tiding(tiding) for tiding in tidings])
        return tidings

    def waits_to_be_told(self, job_id: str) -> bool:
        """Whether the service has yet to hear of something on this job: "pending sync"."""
        taps, files = self._outbox.pending_taps(), self._outbox.pending_files()
        return any(tap.job == job_id for tap in taps) or any(file.job == job_id for file in files)

    def _tap_shift(self, tap: Tap) -> None:
        if tap.kind not in possible_shift_taps(self.shift):
            raise NotNow(NotNow.__doc__)
        shift = after_shift_tap(self.shift, tap)
        self._outbox.append_tap(tap, {"shift": shift.to_json()})
        self.shift = shift

    def _tap_job(self, tap: Tap, proof: Collection[Proof]) -> None:
        job = next((job for job in self.jobs if job.id == tap.job), None)
        if job is None or tap.kind not in possible_taps(job):
            raise NotNow(NotNow.__doc__)
        given = {*proof, *([Proof.note] if any(note.author == "technician" for note in job.notes) else [])}
        if tap.kind is TapKind.done and (missing := missing_proof(job, given)):
            raise ProofMissing(missing)
        if tap.kind is TapKind.no_access and job.not_home_since_s is not None and tap.minutes is None:
            waited_min = int((tap.time_s - job.not_home_since_s) // 60)
            tap = replace(tap, minutes=max(0, waited_min))  # how long one waited at the door
        jobs = after_tap(self.jobs, tap)
        self._outbox.append_tap(tap, {"jobs": write_jobs(jobs)})
        self.jobs = jobs
