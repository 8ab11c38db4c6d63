"""Looks at the store that many want at the same moment are made together, in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from uuid import UUID

GATHER_S = 0.02  # fifty looks a second for one organisation, however many want one; the first does not wait

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


@dataclass(eq=False)
class _Look(Generic[Key, Found]):
    """A look that is still to begin, and what is asked for in it."""

    found: asyncio.Future[Mapping[Key, Found]]
    keys: set[Key] = field(default_factory=set)


class Looks(Generic[Key, Found]):
    """Looks of one kind. Each answer is of a look that began after it was asked for: nobody is told what was the case
    before they came."""

    def __init__(self, look: Callable[[UUID, Collection[Key]], Awaitable[Mapping[Key, Found]]]) -> None:
        self._look = look
        self._next: dict[UUID, _Look[Key, Found]] = {}
        self._looking: dict[UUID, asyncio.Task[None]] = {}

    async def find(self, organisation_id: UUID, key: Key) -> Found | None:
        """What is found under a key, None when nothing; raises what the look raises."""
        following = self._next.get(organisation_id)
        if following is None:
            following = self._next[organisation_id] = _Look(asyncio.get_running_loop().create_future())
        following.keys.add(key)
        if organisation_id not in self._looking:
            self._looking[organisation_id] = asyncio.create_task(self._look_on(organisation_id))
        found = await asyncio.shield(following.found)  # the others wait on when one of them hangs up
        return found.get(key)

    async def _look_on(self, organisation_id: UUID) -> None:
        """Until nobody waits any more."""
        loop = asyncio.get_running_loop()
        try:
            while (begun := self._next.pop(organisation_id, None)) is not None:
                free_s = loop.time() + GATHER_S
                await self._answer(organisation_id, begun)
                await asyncio.sleep(free_s - loop.time())
        finally:
            del self._looking[organisation_id]

    async def _answer(self, organisation_id: UUID, begun: _Look[Key, Found]) -> None:
        try:
            begun.found.set_result(await self._look(organisation_id, begun.keys))
        except Exception as error:
            begun.found.set_exception(error)
            begun.found.exception()  # those who asked may all have hung up
        finally:
            begun.found.cancel()
