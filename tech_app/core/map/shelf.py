"""Keeps what was made of tiles within a bound of memory, and has what is missing made in other threads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

from tech_app.core.map.mercator import Tile

Made = TypeVar("Made")


class Shelf(Generic[Made]):
    """What was made of tiles, the least lately wanted thrown away first.

    Call it from one thread; `make` runs in `threads` others, and `ready` is called in them when something is there.
    """

    def __init__(
        self,
        make: Callable[[Tile], Made | None],
        size_bytes: Callable[[Made], int],
        most_bytes: int,
        ready: Callable[[], object],
        threads: int = 1,
    ) -> None:
        """`make` gives None for a tile that has nothing; what it raises is kept as `trouble`, and the tile asked for
        again after the next `retry`."""
        self._make = make
        self._size_bytes = size_bytes
        self._most_bytes = most_bytes
        self._ready = ready
        self._kept: OrderedDict[Tile, tuple[Made | None, int]] = OrderedDict()
        self._failed: set[Tile] = set()
        self._bytes = 0
        self._under_way: dict[Tile, Future[None]] = {}
        self._lock = Lock()
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix="map")
        self.trouble: Exception | None = None

    @property
    def size_bytes(self) -> int:
        return self._bytes

    @property
    def busy(self) -> bool:
        """Whether something is still being made."""
        with self._lock:
            return bool(self._under_way)

    def want(self, tiles: Sequence[Tile]) -> dict[Tile, Made | None]:
        """Those that are here. The others are begun in this order; what is no longer wanted is not begun."""
        with self._lock:
            for tile in [tile for tile in self._under_way if tile not in tiles]:
                if self._under_way[tile].cancel():
                    del self._under_way[tile]
            here: dict[Tile, Made | None] = {}
            for tile in tiles:
                if tile in self._kept:
                    self._kept.move_to_end(tile)
                    here[tile] = self._kept[tile][0]
                elif tile not in self._under_way and tile not in self._failed:
                    self._under_way[tile] = self._workers.submit(self._fetch, tile)
            self._throw_away(here)
            return here

    def find(self, tile: Tile) -> Made | None:
        """What was made of it, if it is still here."""
        with self._lock:
            return self._kept[tile][0] if tile in self._kept else None

    def retry(self) -> None:
        """What could not be made may be asked for again."""
        with self._lock:
            self._failed.clear()
            self.trouble = None

    def clear(self) -> None:
        """Begin anew."""
        with self._lock:
            for future in self._under_way.values():
                future.cancel()
            self._under_way.clear()
            self._kept.clear()
            self._failed.clear()
            self._bytes = 0

    def close(self) -> None:
        """End the threads when what they do is done."""
        self.clear()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _fetch(self, tile: Tile) -> None:
        try:
            made = self._make(tile)
        except Exception as error:  # a damaged file, a network that is away: told, and the map goes on
            with self._lock:
                self.trouble = error
                self._failed.add(tile)
                self._under_way.pop(tile, None)
        else:
            size = 100 if made is None else self._size_bytes(made)
            with self._lock:
                if self._under_way.pop(tile, None) is not None:
                    self._kept[tile] = (made, size)
                    self._bytes += size
        self._ready()

    def _throw_away(self, wanted: dict[Tile, Made | None]) -> None:
        for tile in list(self._kept):
            if self._bytes <= self._most_bytes:
                return
            if tile not in wanted:
                self._bytes -= self._kept.pop(tile)[1]
