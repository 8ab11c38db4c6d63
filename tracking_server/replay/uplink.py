"""The way from all the phones of a replay to the service: a few HTTP connections that they share.

By hand, as a phone's request is always the same: httpx took a whole core at 200 requests a second, and left too little
to what is replayed. Requests have no `sent_at`: all clocks are one here, and it is fast. A quarter of a second in a
queue would be taken for a phone's clock that is half a minute wrong, and its fixes would be dated anew.
"""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tech_app.core.line import Answer, NotNow, read_answer
from tech_app.core.outbox import Batch
from tracking_server.replay.phone import Refused

# More requests at once would wait in the service instead of here, where what becomes due meanwhile joins the next body.
LANES = 32
ANSWER_WITHIN_S = 10.0


@dataclass
class Tally:
    """What all phones sent and heard."""

    sent: int = 0
    acknowledged: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)


class Lane:
    """One connection, for one request at a time; it is opened when it is needed."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).hostname
        self._port = urlsplit(url).port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """The status and the body of the answer. Raises `NotNow` when there is none."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                reader, writer = await self._open()
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                headers = dict(line.partition(": ")[::2] for line in head.splitlines()[1:])
                body = await reader.readexactly(int(headers["content-length"]))
        except (OSError, EOFError, TimeoutError) as error:
            self.close()
            raise NotNow(repr(error)) from error
        except BaseException:
            self.close()  # half an answer may be left in it
            raise
        if headers.get("connection") == "close":
            self.close()
        return int(head.split(" ", 2)[1]), body

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The service closes a connection that was silent for seconds: then a new one."""
        if self._streams is not None and self._streams[0].at_eof():
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        return self._streams


class Lanes:
    """All connections."""

    def __init__(self, url: str) -> None:
        self._free: asyncio.LifoQueue[Lane] = asyncio.LifoQueue()
        for _ in range(LANES):
            self._free.put_nowait(Lane(url))

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[Lane]:
        """A lane of one's own, once there is one."""
        lane = await self._free.get()
        try:
            yield lane
        finally:
            self._free.put_nowait(lane)

    def close(self) -> None:
        """Close the lanes, which are all free then."""
        while not self._free.empty():
            self._free.get_nowait().close()


class LaneLine:
    """One phone's way through the lanes; it counts what it hears."""

    def __init__(self, lanes: Lanes, key: str, tally: Tally, on_acknowledged: Callable[[int], object]) -> None:
        self._lanes = lanes
        self._key = key
        self._tally = tally
        self._on_acknowledged = on_acknowledged

    async def exchange(self, batch: Batch) -> Answer:
        """As the phone's lines. Raises `NotNow` or `Refused`."""
        taps, fixes = (",".join(row.body for row in rows) for rows in (batch.taps, batch.fixes))
        plain = f'{{"stream":{batch.stream},"taps":[{taps}],"fixes":[{fixes}]}}'
        body = gzip.compress(plain.encode(), compresslevel=1)
        head = (
            f"POST /v1/fixes HTTP/1.1\r\nhost: replay\r\nauthorization: Bearer {self._key}\r\n"
            f"content-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        async with self._lanes.lane() as lane:
            status, told = await lane.exchange(head.encode() + body)
        if status >= 500:
            raise NotNow(f"the service answered {status}")
        if status != 200:
            raise Refused(f"the service answered {status}: {told.decode(errors='replace')}")
        answer = read_answer(told)
        self._count(batch, answer)
        return answer

    async def close(self) -> None:
        pass

    def _count(self, batch: Batch, answer: Answer) -> None:
        named = [row.seq for row in batch.fixes if any(first <= row.seq <= last for first, last in answer.ack)]
        self._tally.acknowledged += len(named)
        self._tally.verdicts.update(answer.verdicts[seq] for seq in named if seq in answer.verdicts)
        self._on_acknowledged(len(named))


async def answers(url: str) -> bool:
    """Whether the service says that it can work."""
    lane = Lane(url)
    try:
        return (await lane.exchange(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n"))[0] == 200
    except NotNow:
        return False
    finally:
        lane.close()
