"""What a screen sees of the phone and does with it: through the file that the phone is kept in, and nothing else.

So it is the same whether the phone runs in this process or in another. Every method is short: a few rows of SQLite.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from tech_app.core import doorbell
from tech_app.core.clock import Clock
from tech_app.core.day import Day
from tech_app.core.jobs import Job, Proof, Tiding, read_tiding
from tech_app.core.outbox import DeadTap, Facts, open_outbox
from tech_app.core.shift import Shift
from tech_app.core.status import Status, read_status
from tech_app.core.tap import TapKind


@dataclass(frozen=True, slots=True)
class Untold:
    """What others changed, until the technician was told."""

    n: int
    tiding: Tiding


class Desk:
    """A screen's side of one paired phone."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """`folder` is `phone.folder_of` the session."""
        self.outbox, self.broken = open_outbox(folder / "outbox.db", clock)
        self._day = Day(self.outbox, clock)
        self._version = self.outbox.version()

    def close(self) -> None:
        self.outbox.close()

    # ---- what there is to see ----

    @property
    def shift(self) -> Shift:
        return self._day.shift

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Today's and tomorrow's, in their order."""
        return self._day.jobs

    @property
    def has_jobs(self) -> bool:
        """Whether they were ever fetched."""
        return self.outbox.recall("jobs") is not None

    def changed(self) -> bool:
        """Whether the other side wrote something since the last call; shift and jobs are read again then."""
        version = self.outbox.version()
        if version == self._version:
            return False
        self._version = version
        self._day.reload()
        return True

    def status(self) -> Status:
        """How the phone is, as whoever runs it told last."""
        return read_status(self.outbox.recall("status"))

    def facts(self) -> Facts:
        """What waits to be sent."""
        return self.outbox.facts()

    def waits_to_be_told(self, job_id: str) -> bool:
        """Whether the service has yet to hear of something on this job: "pending sync"."""
        return self._day.waits_to_be_told(job_id)

    def tidings(self) -> list[Untold]:
        """What others changed and the technician was not told of yet, oldest first."""
        return [Untold(n, read_tiding(body)) for n, body in self.outbox.tidings()]

    def told(self, untold: Untold) -> None:
        """The technician has seen it."""
        self.outbox.forget_tiding(untold.n)

    def dead_taps(self) -> list[DeadTap]:
        """Taps that changed nothing at the service, until the technician was told."""
        return self.outbox.dead_taps()

    def told_dead(self, dead: DeadTap) -> None:
        """The technician has seen it."""
        self.outbox.told(dead)

    # ---- what there is to do ----

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
        """Do it now; it is on the disk when this returns. `proof` is what the job has of it.

        Raises `NotNow`, `ProofMissing` or `NoRoom`; nothing has changed then.
        """
        self._day.tap(kind, job_id, reason=reason, text=text, minutes=minutes, proof=proof)
        self.poke()

    def poke(self) -> None:
        """Something was put into the outbox: send it now."""
        doorbell.ring(self.outbox)

    def refresh(self) -> None:
        """Ask for the newest jobs: the app was opened, or the technician wants to see."""
        doorbell.ring(self.outbox, "jobs")

    # ---- what the screen itself keeps ----

    def remember(self, name: str, value: str) -> None:
        """Keep a choice of the technician's."""
        self.outbox.remember({f"screen.{name}": value})

    def recall(self, name: str) -> str | None:
        """What was kept under a name."""
        return self.outbox.recall(f"screen.{name}")
