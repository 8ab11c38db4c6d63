"""A proxy in front of anything that listens, a port or a Unix socket, that can be told to fail as networks do."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

Place = int | Path  # a port of this machine, or a Unix socket
PIECE = 65_536
DRIP_EVERY_S = 0.01
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: a close says RST


class Mode(StrEnum):
    """What becomes of everything that is open, and of what is opened."""

    passes = "passes"
    slow = "slow"  # half of `rtt_s` each way
    resets = "resets"  # and nothing new gets through
    half_open = "half_open"  # nothing comes, nothing ends; afterwards nobody knows these connections any more
    drips = "drips"  # a byte at a time
    cuts = "cuts"  # each connection ends after `cut_after` bytes


@dataclass(eq=False)
class TcpProxy:
    """Between its clients, who come to `place`, and the `targets`, of which each connection gets the next."""

    place: Place
    targets: Sequence[Place]
    mode: Mode = Mode.passes
    rtt_s: float = 0.5
    cut_after: int = 500
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)
    _healed: asyncio.Event = field(default_factory=asyncio.Event)
    _turn: itertools.count[int] = field(default_factory=itertools.count)

    def fail(self, mode: Mode) -> None:
        """From now on, until it is told to pass again."""
        self.mode = mode
        if mode is Mode.resets:
            self.cut()
        if mode is Mode.half_open:
            self._healed.clear()
        else:
            self._healed.set()

    def cut(self) -> None:
        """Reset every open connection."""
        for writer in list(self._open):
            _reset(writer)

    def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A new connection."""
        serving = asyncio.ensure_future(self._handle(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def close(self) -> None:
        """Reset what is open, and wait until nobody serves it any more."""
        self.fail(Mode.passes)
        self.cut()
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await self._serve(reader, writer)
        except OSError:
            _reset(writer)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode is Mode.resets:
            raise ConnectionResetError
        await self._not_held()
        there_reader, there = await self._connect()
        self._open.add(there)
        pumps = [
            asyncio.ensure_future(self._pump(*way, budget))
            for budget in ([self.cut_after],)
            for way in ((reader, there), (there_reader, writer))
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for how in await asyncio.gather(*pumps, return_exceptions=True):
                if isinstance(how, OSError):
                    _reset(there)
                    _reset(writer)
            self._open.discard(there)
            there.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The next target that answers. Raises OSError when none does."""
        turn = next(self._turn)
        for n in range(len(self.targets)):
            with suppress(OSError):
                return await _open_place(self.targets[(turn + n) % len(self.targets)])
        raise ConnectionRefusedError

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: list[int]) -> None:
        while data := await reader.read(PIECE):
            await self._carry(data, writer, budget)
        await self._not_held()

    async def _carry(self, data: bytes, writer: asyncio.StreamWriter, budget: list[int]) -> None:
        match self.mode:
            case Mode.slow:
                await asyncio.sleep(self.rtt_s / 2)
            case Mode.half_open:
                await self._not_held()
            case Mode.drips:
                data = await self._drip(data, writer)
            case Mode.cuts:
                data = data[: budget[0]]
                budget[0] -= len(data)
                if budget[0] <= 0:
                    writer.write(data)
                    raise ConnectionResetError
        writer.write(data)
        await writer.drain()

    async def _drip(self, data: bytes, writer: asyncio.StreamWriter) -> bytes:
        """Byte after byte while it is to; returns what is left."""
        sent = 0
        while sent < len(data) and self.mode is Mode.drips:
            writer.write(data[sent : sent + 1])
            await writer.drain()
            sent += 1
            await asyncio.sleep(DRIP_EVERY_S)
        return data[sent:]

    async def _not_held(self) -> None:
        """Nobody is told anything while the line is half open; then it is gone."""
        if self.mode is Mode.half_open:
            await self._healed.wait()
            raise ConnectionResetError


def _reset(writer: asyncio.StreamWriter) -> None:
    own = writer.get_extra_info("socket")
    if own is not None and own.family != socket.AF_UNIX and own.fileno() >= 0:
        with suppress(OSError):
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    writer.transport.abort()


async def _open_place(place: Place) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(place, Path):
        return await asyncio.open_unix_connection(place)
    return await asyncio.open_connection("127.0.0.1", place)


@asynccontextmanager
async def tcp_proxied(place: Place, *targets: Place) -> AsyncIterator[TcpProxy]:
    """A proxy that listens at `place` until the block ends."""
    proxy = TcpProxy(place, targets)
    if isinstance(place, Path):
        server = await asyncio.start_unix_server(proxy.handle, place)
    else:
        server = await asyncio.start_server(proxy.handle, "127.0.0.1", place)
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
