"""Many who use the service at once over bare sockets: readers who take nothing, and pages that all come back."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.firm import Phone
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


@dataclass
class Flood:
    """A phone that sends delivery after delivery over one connection, and the same one again when it is refused,
    without waiting as long as it is told to."""

    phone: Phone
    fixes: int
    begun_s: float
    acknowledged: int = 0
    told: Counter[str] = field(default_factory=Counter)

    async def run(self, server: Server, stop: asyncio.Event) -> None:
        """Until told to stop; what was begun then is sent until it is kept."""
        host, port = urlsplit(server.url).hostname, urlsplit(server.url).port
        reader, writer = await asyncio.open_connection(host, port)
        while not stop.is_set():
            body = self._body()
            while (status := await self._post(reader, writer, body)) != 200:
                assert status == 503
                await asyncio.sleep(0.05)
            self.acknowledged += self.fixes
        writer.close()

    def _body(self) -> bytes:
        first = self.phone.seq + self.acknowledged + 1
        rows = (
            f'{{"seq":{seq},"time":{self.begun_s + seq * 0.01:.2f},"lat":41.1,"lon":-8.6}}'
            for seq in range(first, first + self.fixes)
        )
        body = f'{{"stream":{self.phone.stream},"fixes":[{",".join(rows)}]}}'.encode()
        return post("/v1/fixes", len(body), self.phone.key) + body

    async def _post(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r")[0])
        await reader.readexactly(length)
        status = head.split()[1]
        self.told[status + head.partition("retry-after: ")[2].partition("\r")[0].rjust(3)] += 1
        return int(status)


def post(path: str, length: int, key: str) -> bytes:
    """The head of a phone's delivery."""
    return (
        f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {length}\r\n\r\n"
    ).encode()


class Page(asyncio.Protocol):
    """A page that opens its stream and notes what it is told first, and when."""

    def __init__(self, path: str) -> None:
        self._request = get(path)
        self._heard = b""
        self.told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._heard += data
        if (
            not self.told.done()
            and b"event: status" in self._heard
            and b"\n\n" in self._heard.split(b"event: status")[1]
        ):
            self.told.set_result(self._heard)

    def connection_lost(self, _: Exception | None) -> None:
        if not self.told.done():
            self.told.set_result(self._heard)


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
