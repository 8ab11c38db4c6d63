"""The history as it is written: to a file, to the checker, and to those who wait for something in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.faults.kill.history import Record, encode


@dataclass(eq=False)
class Book:
    """Hears every record once, in the order in which it is told."""

    file: IO[bytes]
    listeners: list[Callable[[Record], None]] = field(default_factory=list)

    @classmethod
    @contextmanager
    def at(cls, path: Path) -> Iterator[Book]:
        """In a file, which is closed at the end of the block."""
        with path.open("wb") as file:
            yield cls(file)

    def hear(self, record: Record) -> None:
        self.file.write(encode(record))
        for listen in self.listeners:
            listen(record)
