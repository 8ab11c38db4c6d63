"""The proxy that the kill test fails networks with does what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.server import free_port
from tests.support.tcp_proxy import Mode, TcpProxy, tcp_proxied

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[TcpProxy]:
    """In front of somebody who says everything back, on a Unix socket."""
    server = await asyncio.start_unix_server(echo, tmp_path / "echo.sock")
    async with tcp_proxied(free_port(), tmp_path / "echo.sock") as proxy:
        yield proxy
    server.close()


async def connect(proxy: TcpProxy) -> Ends:
    return await asyncio.open_connection("127.0.0.1", int(str(proxy.place)))


async def ask(ends: Ends, what: bytes) -> bytes:
    """What comes back, as much as was sent."""
    ends[1].write(what)
    return await ends[0].readexactly(len(what))


@pytest.mark.parametrize("mode", [Mode.passes, Mode.slow, Mode.drips])
async def test_what_only_takes_longer_arrives_whole(proxy: TcpProxy, mode: Mode) -> None:
    """On connections that were open before, and on new ones."""
    proxy.rtt_s = 0.02
    before = await connect(proxy)
    assert await ask(before, b"once") == b"once"
    proxy.fail(mode)
    for ends in (before, await connect(proxy)):
        assert await ask(ends, b"so long and thanks") == b"so long and thanks"


async def test_a_reset_ends_what_is_open_and_lets_nothing_in(proxy: TcpProxy) -> None:
    """Until it passes again."""
    before = await connect(proxy)
    assert await ask(before, b"once") == b"once"
    proxy.fail(Mode.resets)
    for ends in (before, await connect(proxy)):
        with pytest.raises((ConnectionResetError, BrokenPipeError, asyncio.IncompleteReadError)):
            await ask(ends, b"gone")
    proxy.fail(Mode.passes)
    assert await ask(await connect(proxy), b"back") == b"back"


async def test_a_half_open_line_says_nothing_and_is_gone_afterwards(proxy: TcpProxy) -> None:
    """Nobody is told while it lasts; what was on the line never arrives."""
    before = await connect(proxy)
    assert await ask(before, b"once") == b"once"
    proxy.fail(Mode.half_open)
    asked = [asyncio.create_task(ask(ends, b"hello?")) for ends in (before, await connect(proxy))]
    done, _ = await asyncio.wait(asked, timeout=0.1)
    assert not done
    proxy.fail(Mode.passes)
    ended = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(end, ConnectionResetError | asyncio.IncompleteReadError) for end in ended)


async def test_a_cut_comes_after_so_many_bytes(proxy: TcpProxy) -> None:
    """In the middle of what is said."""
    proxy.cut_after = 30
    proxy.fail(Mode.cuts)
    ends = await connect(proxy)
    assert await ask(ends, b"0123456789") == b"0123456789"
    ends[1].write(b"0123456789" * 10)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await ends[0].readexactly(30)
