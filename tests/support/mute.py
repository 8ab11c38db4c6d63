"""A proxy in front of PostgreSQL's socket that carries every question and, from a moment on, no answer."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from tracking_server.embedded import Installation

SOCKET = ".s.PGSQL.5432"
PIECE = 65_536


@dataclass
class MuteProxy:
    """For one database. `muted` says that what it waits for was asked."""

    there: Path
    url: str
    muted: bool = False
    _word: bytes = b""
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def mute_after(self, word: bytes) -> None:
        """Carry no more answers once a question with this word went through; the question does get there."""
        self._word = word

    def speak(self) -> None:
        """Carry answers again. Those that were withheld never come."""
        self._word, self.muted = b"", False

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_unix_connection(self.there)
        self._open |= {writer, there}
        answers = asyncio.create_task(self._carry(there_reader, writer, answers=True))
        await self._carry(reader, there, answers=False)
        answers.cancel()
        for one in (writer, there):
            self._open.discard(one)
            one.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        while data := await reader.read(PIECE):
            if answers and self.muted:
                continue
            if not answers and self._word and self._word in data:
                self.muted = True
            writer.write(data)
            await writer.drain()

    def close(self) -> None:
        for writer in self._open:
            writer.close()


@asynccontextmanager
async def mute_proxy(servers: Installation, database: str) -> AsyncIterator[MuteProxy]:
    """In front of the embedded PostgreSQL, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="mute-") as folder:
        url = f"postgresql+psycopg://doorstep_app@/{database}?host={quote(folder, safe='')}"
        proxy = MuteProxy(servers.socket_folder / SOCKET, url)
        server = await asyncio.start_unix_server(proxy.handle, str(Path(folder) / SOCKET))
        try:
            yield proxy
        finally:
            proxy.close()
            server.close()
