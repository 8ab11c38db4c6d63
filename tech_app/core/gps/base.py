"""What a source of fixes promises, whatever it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from tech_app.core.fix import Fix

# The service corrects a phone's clock only when it is off by more than this. A receiver's own time that differs by less
# is the better one; one that differs by more is not of the clock that sending is timed by, and would be "corrected".
CLOCKS_AGREE_S = 30.0
MOST_WAITING = 1_000


class Missing(Exception):
    """This source does not work on this device; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask the GPS for: a fix every `interval_s`."""

    interval_s: float


class Source(Protocol):
    """Where fixes come from."""

    @property
    def trouble(self) -> str | None:
        """Why no fix comes, for whoever looks; None when all is well."""
        ...

    def ask(self, request: Request | None) -> None:
        """Ask for fixes from now on; None switches the GPS off. Raises `Missing`."""
        ...

    def fixes(self) -> AsyncIterator[Fix]:
        """The fixes as they come, on the phone's clock, for as long as one listens."""
        ...


class NoSource:
    """Stands where no source works: gives nothing, and says why."""

    def __init__(self, trouble: str) -> None:
        self.trouble: str | None = trouble

    def ask(self, request: Request | None) -> None:
        pass

    async def fixes(self) -> AsyncIterator[Fix]:
        none: tuple[Fix, ...] = ()
        for fix in none:
            yield fix


class Mailbox:
    """Fixes on their way from a thread of the system's to the loop. When nobody takes them, the oldest go."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._fixes: asyncio.Queue[Fix] = asyncio.Queue(MOST_WAITING)

    def put(self, fix: Fix) -> None:
        """From any thread."""
        self._loop.call_soon_threadsafe(self._put, fix)

    def _put(self, fix: Fix) -> None:
        if self._fixes.full():
            self._fixes.get_nowait()
        self._fixes.put_nowait(fix)

    async def fixes(self) -> AsyncIterator[Fix]:
        while True:
            yield await self._fixes.get()


def on_the_phones_clock(told_s: float | None, now_s: float) -> float:
    """The time of a fix that a receiver dates `told_s` and that comes at `now_s`."""
    return told_s if told_s is not None and abs(told_s - now_s) <= CLOCKS_AGREE_S else now_s


def measured(value: float | None) -> float | None:
    """A speed, course or accuracy as far as it was measured: many receivers say -1 or 0 when they do not know."""
    return value if value is not None and value > 0 else None
