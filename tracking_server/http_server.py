"""Listen, serve, and stop without waiting for pages that listen for ever."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, cast

import uvicorn

from tracking_server.connections import LOOK_EVERY_S, HttpConnection, PhoneConnection, drop_slow, most_connections
from tracking_server.installation import UserError

if TYPE_CHECKING:
    from tracking_server.app import HotPaths  # who only listens need not wait for it

MOST_MESSAGE_BYTES = 4 * 1024 * 1024  # of a phone's stream; twice what is taken, so that it is told so
PING_EVERY_S = 900.0  # each wakes a radio; a phone at work speaks every four minutes of its own accord
PONG_WITHIN_S = 30.0
GRACE_S = 3  # a phone's last batch is committed within it
GOODBYE_WITHIN_S = 1.0  # a restart does not wait for somebody who takes nothing for so long
KEEP_ALIVE_S = 75  # longer than proxies keep a connection that they may use again: 60 s
BACKLOG = 2_048
TICKS_PER_S = 10  # uvicorn's
# Objects more than before, and rounds: a flush makes tens of thousands that are gone when it ends, and Python's own 700
# looks through them again and again while they live. A sixth of a fix's processor time; some 10 MB at most.
COLLECT_AFTER = (50_000, 20, 20)
# Whoever takes nothing of an answer for so long is cut off by the kernel, also while a connection closes: longer than
# a tunnel, and no stalled reader holds a full buffer for ever.
NOTHING_TAKEN_MS = 60_000
# What the kernel keeps of what it could not send yet, beside the 64 kB that uvicorn keeps: a reader who falls behind is
# noticed early, and a stalled one holds no megabytes.
MOST_UNSENT_BYTES = 32 * 1024


@contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """The port, taken before anything is started that would have to be stopped again."""
    with _socket(host, port) as listening:
        yield listening


@contextmanager
def listen_for_several(host: str, port: int, count: int) -> Iterator[list[socket.socket]]:
    """So many sockets on one port, for processes side by side: the kernel gives each of them as many connections."""
    with _socket(host, port):
        pass  # sockets that share a port would share it with another service's, too: that one is seen here
    with ExitStack() as held:
        yield [held.enter_context(_socket(host, port, shared=True)) for _ in range(count)]


def _socket(host: str, port: int, *, shared: bool = False) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=shared)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"port {port} is taken: choose another with --port") from error
        raise UserError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, NOTHING_TAKEN_MS)  # each connection has it
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_UNSENT_BYTES)  # and this
    return listening


def run(
    app: HotPaths, listening: socket.socket, ready: Callable[[], None], beat: Callable[[], None] = lambda: None
) -> None:
    """Serve until told to stop; calls `ready` when phones and pages are answered, and `beat` every second after."""
    server = server_of(app, ready, beat)
    with suppress(KeyboardInterrupt):  # uvicorn passes the signal on once everything has ended
        server.run(sockets=[listening])
    if not server.started:
        sys.exit(1)


def server_of(app: HotPaths, ready: Callable[[], None], beat: Callable[[], None] = lambda: None) -> Server:
    """The server that `run` runs."""
    HttpConnection.most = most_connections()
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=KEEP_ALIVE_S,
        server_header=False,
        http=HttpConnection,
        ws=PhoneConnection,
        ws_max_size=MOST_MESSAGE_BYTES,
        ws_ping_interval=PING_EVERY_S,
        ws_ping_timeout=PONG_WITHIN_S,
        ws_per_message_deflate=False,  # messages are compressed already, and each inflater would hold 32 kB
    )
    return Server(config, app, ready, beat)


class Server(uvicorn.Server):
    """uvicorn's, which looks after its connections."""

    def __init__(
        self, config: uvicorn.Config, app: HotPaths, ready: Callable[[], None], beat: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._app = app
        self._ready = ready
        self._beat = beat

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            gc.collect()
            gc.set_threshold(*COLLECT_AFTER)
            gc.freeze()  # what lives as long as the process is not looked through again while phones wait
            self._ready()

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_PER_S == 0:
            self._beat()
        if counter % (LOOK_EVERY_S * TICKS_PER_S) == 0:
            drop_slow(self._connections, time.monotonic())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.stop()
        cutting = asyncio.create_task(self._cut_off())
        await super().shutdown(sockets)
        cutting.cancel()

    async def _cut_off(self) -> None:
        """Whoever takes nothing of what they are being told."""
        untaken = {one: one.transport.get_write_buffer_size() for one in self._connections}
        await asyncio.sleep(GOODBYE_WITHIN_S)
        for connection in self._connections & untaken.keys():
            if 0 < untaken[connection] <= connection.transport.get_write_buffer_size():
                connection.transport.abort()

    @property
    def _connections(self) -> set[HttpConnection | PhoneConnection]:
        return cast("set[HttpConnection | PhoneConnection]", self.server_state.connections)
