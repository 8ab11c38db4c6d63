"""Where the app keeps what it has, and which of its processes runs the phone.

    session          who this phone is
    DEVICE/          a folder for each phone it was: its session, the outbox, the lock of whoever runs it

A phone that is paired again with the same technician stays the same device, and goes on where it was. Paired with
another it is a new one, and what the first one had is left where it lies.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from tech_app.core.clock import Clock
from tech_app.core.desk import Desk
from tech_app.core.gps.base import Missing, NoSource, Source
from tech_app.core.outbox import NoRoom
from tech_app.core.phone import Phone, RunsElsewhere, folder_of, is_run
from tech_app.core.session import NO_SEAL, Seal, Session, forget_session, load_session, save_session

LOOK_AGAIN_S = 2.0
# The tracker's process has to start its Python first.
STARTS_WITHIN_S = 10.0

SourceFor = Callable[[Clock], Source]


class Home:
    """One app's folder. `source_for` makes the source of fixes, in the process that runs the phone; it may raise
    `Missing`. `start_tracker` starts the background service of a system that has one; it may raise OSError."""

    def __init__(
        self,
        data: Path,
        clock: Clock,
        source_for: SourceFor,
        *,
        battery_pct: Callable[[], float | None] = lambda: None,
        start_tracker: Callable[[], None] | None = None,
        seal: Seal = NO_SEAL,
    ) -> None:
        self.data = data
        self.clock = clock
        self._source_for = source_for
        self._battery_pct = battery_pct
        self._start_tracker = start_tracker
        self._seal = seal
        self._task: asyncio.Task[None] | None = None
        data.mkdir(parents=True, exist_ok=True)

    def session(self) -> Session | None:
        """Who this phone is; None when it is not paired."""
        return load_session(self.data / "session", self._seal)

    def earlier(self) -> list[Session]:
        """What this phone was before and still holds something of, for `session.pair`."""
        kept = [load_session(path, self._seal) for path in sorted(self.data.glob("*/session"))]
        return [session for session in kept if session is not None]

    def pair(self, session: Session) -> None:
        """Be this phone from now on; `start` afterwards."""
        save_session(folder_of(self.data, session) / "session", session, self._seal)
        save_session(self.data / "session", session, self._seal)

    def unpair(self) -> None:
        """Be no phone any more; after `stop`. What waits is left where it lies, and sent only after pairing with the
        same technician; without that nothing stays."""
        session = self.session()
        forget_session(self.data / "session")
        if session is not None:
            with closing(self._desk(session)) as desk:
                desk.poke()  # a tracker ends then
                facts = desk.facts()
            if not facts.taps + facts.fixes + facts.files:
                shutil.rmtree(folder_of(self.data, session))

    def desk(self) -> Desk:
        """The screen's side of the paired phone; to be closed. Raises LookupError when there is none."""
        return self._desk(self._paired())

    def phone(self) -> Phone:
        """The whole phone, for the process that runs it. Raises LookupError when it is not paired."""
        session = self._paired()
        try:
            source = self._source_for(self.clock)
        except Missing as error:
            source = NoSource(str(error))
        return Phone(folder_of(self.data, session), session, source, self.clock, self._battery_pct)

    def is_run(self) -> bool:
        """Whether some process runs this phone. Raises LookupError when it is not paired."""
        return is_run(folder_of(self.data, self._paired()))

    def start(self) -> None:
        """Have the phone run for as long as the screen's loop does: here, or by the tracker."""
        if self._task is None and self.session() is not None:
            self._task = asyncio.create_task(self._see_to_it())

    async def stop(self) -> None:
        """Before pairing anew, and at the end. A tracker goes on by itself. Raises what the phone died of."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()

    async def _see_to_it(self) -> None:
        while True:
            try:
                await self._run_or_wait()
            except (sqlite3.Error, NoRoom, OSError):  # what is full or refused now may not be so for ever
                await self.clock.sleep(LOOK_AGAIN_S)

    async def _run_or_wait(self) -> None:
        if self.is_run():
            await self.clock.sleep(LOOK_AGAIN_S)
        elif self._start_tracker is not None and self._on_shift():
            self._start_tracker()
            await self.clock.sleep(STARTS_WITHIN_S)
        else:
            with suppress(RunsElsewhere):
                await self.phone().run(lambda phone: self._start_tracker is not None and phone.on_shift)

    def _on_shift(self) -> bool:
        with closing(self._desk(self._paired())) as desk:
            return desk.shift.on

    def _desk(self, session: Session) -> Desk:
        return Desk(folder_of(self.data, session), self.clock)

    def _paired(self) -> Session:
        session = self.session()
        if session is None:
            raise LookupError("this phone is not paired")
        return session
