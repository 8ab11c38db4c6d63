"""The least that carries a position to those who watch: a subscription, and a line to each of them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

import redis.asyncio as redis
import uvicorn
from starlette.types import Receive, Scope, Send

from tracking_server.embedded import CLONE, Installation
from tracking_server.replay.processes import WITH_THIS_PROCESS, free_port

CHANNEL = "doorstep:bench:echo"
READY_WITHIN_S = 10.0


class Echo:
    """An ASGI program: `GET /N` listens to what is published for N."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._readers: dict[bytes, set[asyncio.Queue[bytes]]] = defaultdict(set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"\n", "more_body": scope["path"] != "/ready"})
        if scope["path"] == "/ready":
            return
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        readers = self._readers[scope["path"][1:].encode()]
        readers.add(queue)
        telling = asyncio.ensure_future(_tell(queue, send))
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            readers.discard(queue)
            telling.cancel()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        listening = asyncio.create_task(self._listen())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        listening.cancel()
        await send({"type": "lifespan.shutdown.complete"})

    async def _listen(self) -> None:
        async with redis.from_url(self._redis_url).pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe(CHANNEL)
            async for message in subscription.listen():
                who, _, place = message["data"].partition(b" ")
                event = b"event: position\ndata: " + place + b"\n\n"
                for queue in self._readers[who]:
                    queue.put_nowait(event)


async def _tell(queue: asyncio.Queue[bytes], send: Send) -> None:
    while True:
        await send({"type": "http.response.body", "body": await queue.get(), "more_body": True})


@contextmanager
def echo(installation: Installation) -> Iterator[tuple[str, int]]:
    """Run it in a process of its own for as long as the block lasts; gives its address and its id."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [*WITH_THIS_PROCESS, sys.executable, "-m", __name__, installation.redis_url, str(port)]
    process = subprocess.Popen(command, cwd=CLONE)  # noqa: S603 - our own program
    try:
        _wait_for(url)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


def _wait_for(url: str) -> None:
    until_s = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            with urlopen(f"{url}/ready"):  # noqa: S310 - our own address
                return
        except OSError:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    uvicorn.run(Echo(sys.argv[1]), port=int(sys.argv[2]), log_level="error")
