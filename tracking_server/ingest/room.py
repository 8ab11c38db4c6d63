"""How much of what phones send may be on its way through this process, so that it refuses before its memory grows."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from tracking_server.store.engine import Unavailable

MOST_BYTES = 32 * 1024 * 1024  # bodies that are being received: a few hundred of a long day offline
MOST_OF_ONE_PHONE = 4  # deliveries: a phone sends one, and another when it has just changed networks
SOONEST_AGAIN_S, LATEST_AGAIN_S = 2, 8


def come_again_s() -> int:
    """When a phone that was refused may try again: not all of them in one wave."""
    return random.randint(SOONEST_AGAIN_S, LATEST_AGAIN_S)  # noqa: S311 (spreads, and keeps no secret)


@dataclass(slots=True)
class Room:
    """What is held of deliveries in this process, from their first byte to their answer."""

    held_bytes: int = 0
    _of_phones: Counter[UUID] = field(default_factory=Counter)

    @contextmanager
    def place(self, device_id: UUID) -> Iterator[Place]:
        """A delivery's place, for as long as the block runs; raises `Unavailable` when its phone has too many."""
        if self._of_phones[device_id] >= MOST_OF_ONE_PHONE:
            raise Unavailable("this phone sends too much at a time")
        self._of_phones[device_id] += 1
        place = Place(self)
        try:
            yield place
        finally:
            place.empty()
            self._of_phones[device_id] -= 1
            if not self._of_phones[device_id]:
                del self._of_phones[device_id]


@dataclass(slots=True)
class Place:
    """The bytes of one delivery, until they are read: then its fixes count where they wait."""

    room: Room
    bytes: int = 0

    def take(self, more: int) -> None:
        """Hold more bytes; raises `Unavailable` when all deliveries together hold too many."""
        if self.room.held_bytes + more > MOST_BYTES:
            raise Unavailable("too much is being sent at the moment")
        self.bytes += more
        self.room.held_bytes += more

    def empty(self) -> None:
        """The bytes are read."""
        self.room.held_bytes -= self.bytes
        self.bytes = 0
