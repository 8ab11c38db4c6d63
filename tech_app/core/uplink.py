"""When to send what: a pure decision, and the small loop around it.

One batch at a time: ten thousand fixes are twenty batches, and what waits meanwhile joins the next. The WebSocket is
preferred; where it cannot be opened, plain HTTP is tried at once and the WebSocket again after five minutes; where it
breaks twice in a row, likewise. All times here are of the clock that is never set.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from tech_app.core.clock import Clock, pause
from tech_app.core.line import Answer, Line, NotNow, NoWay, TooMuch, Unpaired
from tech_app.core.outbox import Batch, Facts, Outbox

MOST_PER_BATCH = 500
FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 120.0
# A wrong proxy must not silence a phone for a day.
LONGEST_RETRY_AFTER_S = 600.0
# A phone that is not known any more asks seldom, in case that was somebody's mistake.
UNPAIRED_EVERY_S = 600.0
WEBSOCKET_AGAIN_S = 300.0
# While nobody waits at a door, the radio sleeps between fixes.
UNFOLLOWED_EVERY_S = 30.0
UNFOLLOWED_FIXES = 50
# Whoever puts something into the queue says so; this is for what went unheard.
IDLE_S = 60.0


class Way(StrEnum):
    """How to reach the service."""

    websocket = "websocket"
    http = "http"


@dataclass(frozen=True, slots=True)
class State:
    """What is remembered between two steps."""

    failures: int = 0
    not_before_s: float = 0.0
    # The service itself said how long to stay away.
    told_until_s: float = 0.0
    websocket_again_s: float = 0.0
    most: int = MOST_PER_BATCH
    last_answer_s: float = 0.0
    # The last batch was full: what is left goes with it.
    draining: bool = False
    paired: bool = True


@dataclass(frozen=True, slots=True)
class Send:
    """Send a batch of at most `most` items this way."""

    way: Way
    most: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing to do until something happens."""


Step = Send | Wait | Idle


def next_step(state: State, queue: Facts, now_s: float, *, followed: bool) -> Step:
    """What to do now. `followed` says that a customer waits for this technician: then no fix waits for another."""
    if not (queue.taps or queue.fixes):
        return Idle()
    due_s = max(state.not_before_s, state.told_until_s)
    if not (followed or state.draining or queue.taps or queue.fixes >= UNFOLLOWED_FIXES):
        due_s = max(due_s, state.last_answer_s + UNFOLLOWED_EVERY_S)
    if due_s > now_s:
        return Wait(due_s - now_s)
    return Send(Way.http if now_s < state.websocket_again_s else Way.websocket, state.most)


def answered(state: State, now_s: float, size: int = 0) -> State:
    """The service took a batch of this size."""
    return State(
        websocket_again_s=state.websocket_again_s,
        most=min(MOST_PER_BATCH, state.most * 2),
        last_answer_s=now_s,
        draining=size >= state.most,
    )


def failed(state: State, way: Way, error: Exception, now_s: float, luck: float) -> State:
    """A batch was not taken. `luck`, from 0 to 1, spreads the phones that all failed at the same moment."""
    match error:
        case Unpaired():
            return replace(state, paired=False, told_until_s=now_s + UNPAIRED_EVERY_S)
        case NoWay() if way is Way.websocket:
            return replace(state, websocket_again_s=now_s + WEBSOCKET_AGAIN_S)
        case TooMuch() if state.most > 1:
            return replace(state, most=state.most // 2)
        case NotNow() if error.retry_after_s is not None:
            told_s = min(error.retry_after_s, LONGEST_RETRY_AFTER_S)
            return replace(state, failures=state.failures + 1, told_until_s=now_s + told_s + luck * FIRST_BACKOFF_S)
    backoff_s = luck * min(FIRST_BACKOFF_S * 2.0**state.failures, LONGEST_BACKOFF_S)
    if way is Way.http:  # when both are closed there is no network: what comes back first is not known
        websocket_again_s = 0.0
    elif state.failures:  # a proxy may let it be opened, and nothing through
        websocket_again_s = now_s + WEBSOCKET_AGAIN_S
    else:
        websocket_again_s = state.websocket_again_s
    return replace(
        state,
        failures=min(state.failures + 1, 10),
        not_before_s=now_s + backoff_s,
        websocket_again_s=websocket_again_s,
    )


def nudged(state: State) -> State:
    """The technician tapped, or the phone has a network again: no backoff, only what the service said itself."""
    return replace(state, not_before_s=0.0)


@dataclass(frozen=True, slots=True)
class Skew:
    """What to add to the phone's clock to have the service's, right to `within_s`."""

    seconds: float
    within_s: float


def better_skew(before: Skew | None, sent_s: float, received_s: float, server_s: float) -> Skew:
    """The estimate after one more answer, whose time was told between `sent_s` and `received_s` on the phone's clock.

    The quickest answer is the most exact; one that contradicts it shows that a clock was set.
    """
    half_s = (received_s - sent_s) / 2
    new = Skew(server_s - sent_s - half_s, half_s)
    if before is None or new.within_s <= before.within_s:
        return new
    return new if abs(new.seconds - before.seconds) > new.within_s + before.within_s else before


class Uplink:
    """Sends what the outbox holds, for as long as `run` runs."""

    def __init__(
        self,
        outbox: Outbox,
        lines: Mapping[Way, Line],
        clock: Clock,
        *,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self.state = State()
        self.skew: Skew | None = None
        self.followed = False
        self.trouble: str | None = None  # why the last batch was not taken
        self.acknowledged_s: float | None = None  # when the last one was, on the clock that is never set
        self._outbox = outbox
        self._lines = lines
        self._clock = clock
        self._luck = luck
        self._poked = asyncio.Event()

    def poke(self, *, urgent: bool = False) -> None:
        """There is something new; `urgent` is what the technician waits for."""
        if urgent:
            self.state = nudged(self.state)
        self._poked.set()

    def shut_out(self, why: str) -> None:
        """The service took the phone's key back while nothing was under way."""
        self.state = failed(self.state, Way.websocket, Unpaired(why), self._clock.since_boot(), self._luck())
        self.trouble = why

    async def run(self, changed: Callable[[], None] = lambda: None) -> None:
        """Until cancelled; calls `changed` after each step."""
        try:
            while True:
                await self.step()
                changed()
        finally:
            for line in self._lines.values():
                await line.close()

    async def step(self) -> Step:
        """Do the next thing; returns what it was."""
        self._poked.clear()
        step = next_step(self.state, self._outbox.facts(), self._clock.since_boot(), followed=self.followed)
        match step:
            case Send(way, most):
                await self._send(way, most)
            case Wait(seconds):
                await pause(self._clock, seconds, self._poked)
            case Idle():
                await pause(self._clock, IDLE_S, self._poked)
        return step

    async def _send(self, way: Way, most: int) -> None:
        batch = self._outbox.next_batch(most)
        if batch is None:
            return
        sent_s, sent_boot_s = self._clock.now(), self._clock.since_boot()
        try:
            answer = await self._lines[way].exchange(batch)
            self._take(batch, answer)
        except (NoWay, NotNow, TooMuch, Unpaired) as error:
            self.state = failed(self.state, way, error, self._clock.since_boot(), self._luck())
            self.trouble = str(error)
            return
        now_s = self._clock.since_boot()
        self.state = answered(self.state, now_s, batch.size)
        self.trouble, self.acknowledged_s = None, now_s
        self.skew = better_skew(self.skew, sent_s, sent_s + now_s - sent_boot_s, answer.server_s)

    def _take(self, batch: Batch, answer: Answer) -> None:
        """Forget what the service has. Raises when it has nothing of it."""
        if answer.unreadable is not None:
            if batch.size > 1:
                raise TooMuch(answer.unreadable)
            # Alone and still unreadable: the service has kept it as it came, and will never say more.
            (row,) = (*batch.taps, *batch.fixes)
            answer = replace(answer, ack=((row.seq, row.seq),), verdicts={row.seq: "unreadable"})
        if not self._outbox.forget(batch, answer.ack, answer.verdicts):
            raise NotNow("the service acknowledged nothing of what it was sent")
