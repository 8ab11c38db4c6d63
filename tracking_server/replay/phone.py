"""A phone's loop: a stand-in until the phone app's own queue and uplink exist."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from tracking_server.clock import Clock
from tracking_server.replay.uplink import Answer, NotNow, Uplink
from tracking_server.replay.visit import Item

MOST_PER_BODY = 500
FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 5.0


@dataclass
class Tally:
    """What all phones sent and heard. Fixes are counted once, however often they were sent."""

    sent: int = 0
    acknowledged: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)


class Phone:
    """Sends what is due, at most one request at a time, and forgets only what was acknowledged."""

    def __init__(
        self,
        key: str,
        stream: int,
        items: Sequence[Item],
        uplink: Uplink,
        clock: Clock,
        tally: Tally,
        on_acknowledged: Callable[[int], object],
        sent_up_to: int = 0,
    ) -> None:
        self._key = key
        self._stream = stream
        self._kept = {item.seq: item for item in items}
        self.sent_up_to = sent_up_to
        self._uplink = uplink
        self._clock = clock
        self._tally = tally
        self._on_acknowledged = on_acknowledged

    @property
    def owed(self) -> list[Item]:
        """What was sent, and is not acknowledged."""
        return [item for item in self._kept.values() if item.seq <= self.sent_up_to]

    async def drive(self) -> None:
        """Returns when everything was acknowledged."""
        backoff_s = FIRST_BACKOFF_S
        while self._kept:
            first = next(iter(self._kept.values()))
            if first.time_s > self._clock.now():
                await self._clock.sleep(first.time_s - self._clock.now())
                continue
            try:
                async with self._uplink.lane() as lane:
                    answer = await lane.send(self._key, self._stream, self._due())
            except NotNow:
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)
            else:
                self._forget(answer)
                backoff_s = FIRST_BACKOFF_S

    def _due(self) -> list[Item]:
        """The oldest that are due; their order is that of their times."""
        now_s = self._clock.now()
        items = [item for item in islice(self._kept.values(), MOST_PER_BODY) if item.time_s <= now_s]
        self._tally.sent += sum(item.is_fix and item.seq > self.sent_up_to for item in items)
        self.sent_up_to = max(self.sent_up_to, items[-1].seq)
        return items

    def _forget(self, answer: Answer) -> None:
        fixes = 0
        for first, last in answer.ack:
            for seq in range(first, last + 1):
                item = self._kept.pop(seq, None)
                if item is not None and item.is_fix:
                    fixes += 1
                    if verdict := answer.verdicts.get(str(seq)):
                        self._tally.verdicts[verdict] += 1
        self._tally.acknowledged += fixes
        self._on_acknowledged(fixes)
