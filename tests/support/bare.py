"""Many who use the service at once over bare sockets: readers who take nothing, and pages that all come back."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.server import Server

TINY_BYTES = 2_048
PING = bytes([0x89, 0x80 | 125]) + bytes(4) + b"x" * 125  # the longest, masked with nothing
MOST_PINGS = 100_000


@contextmanager
def stalled(server: Server, requests: Sequence[bytes]) -> Iterator[list[socket.socket]]:
    """One connection for each request, which is sent, and whose answer nobody reads until the block ends."""
    host, port = urlsplit(server.url).hostname or "", urlsplit(server.url).port or 0
    with ExitStack() as held:
        opened = []
        for request in requests:
            reader = held.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, TINY_BYTES)
            reader.connect((host, port))
            reader.sendall(request)
            opened.append(reader)
        yield opened


def get(path: str, **headers: str) -> bytes:
    """A request as bytes."""
    lines = [f"GET {path} HTTP/1.1", "host: x", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def upgrade(path: str, key: str) -> bytes:
    """A phone's request for its stream."""
    return get(
        path,
        upgrade="websocket",
        connection="Upgrade",
        authorization=f"Bearer {key}",
        **{"sec-websocket-version": "13", "sec-websocket-key": base64.b64encode(os.urandom(16)).decode()},
    )


def ping_until_stuck(phone: socket.socket) -> None:
    """Ping without reading a pong, until the service reads no more of it."""
    phone.settimeout(10.0)
    head = b""
    while b"\r\n\r\n" not in head:
        head += phone.recv(1)
    phone.settimeout(1.0)
    left = b""
    for _ in range(MOST_PINGS):
        left += PING
        try:
            left = left[phone.send(left) :]
        except TimeoutError:
            return
    raise AssertionError(f"{MOST_PINGS} pings were taken and answered into memory")


def serving_pids(server: Server) -> list[int]:
    """The service's own process and those below it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
    found = [server.process.pid]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def resident_mib(server: Server) -> float:
    """Memory of all its processes."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in serving_pids(server))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def connections(server: Server) -> int:
    """Connections that the service holds; what the kernel still sends after a close does not count."""
    port = f":{urlsplit(server.url).port or 0:04X}"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(local.endswith(port) and inode != "0" for _, local, _, _, _, _, _, _, _, inode, *_ in rows) - 1


def processor_s(server: Server) -> float:
    """Processor time that its processes used so far, in seconds."""
    ticks = 0
    for pid in serving_pids(server):
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(stat[11]) + int(stat[12])
    return ticks / os.sysconf("SC_CLK_TCK")
