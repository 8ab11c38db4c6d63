"""How the screen tells the process that runs the phone to look: a datagram on the loopback interface.

What was written is in the file, so that what goes unheard is only late.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress

from tech_app.core.outbox import Outbox

NAME = "doorbell"  # where it hangs, in the outbox's memory: port and password
LOOPBACK = "127.0.0.1"


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, password: str, rung: Callable[[str], None]) -> None:
        self._password = password
        self._rung = rung

    def datagram_received(self, data: bytes, addr: object) -> None:
        password, _, wanted = data.decode(errors="replace").partition(" ")
        if secrets.compare_digest(password.encode(), self._password.encode()):
            self._rung(wanted)


async def hang(outbox: Outbox, rung: Callable[[str], None]) -> asyncio.DatagramTransport:
    """Call `rung` with what is wanted whenever somebody rings, until the transport is closed."""
    password = secrets.token_hex(8)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Ear(password, rung), local_addr=(LOOPBACK, 0)
    )
    try:
        outbox.remember({NAME: f"{transport.get_extra_info('sockname')[1]} {password}"}, "NORMAL")
    except BaseException:
        transport.close()
        raise
    return transport


def ring(outbox: Outbox, wanted: str = "") -> None:
    """Say that something was written, or that the newest "jobs" are wanted. Where nobody runs the phone, nobody
    hears it."""
    port, _, password = (outbox.recall(NAME) or "").partition(" ")
    if port:
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(f"{password} {wanted}".encode(), (LOOPBACK, int(port)))
