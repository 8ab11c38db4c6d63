"""What changed, told to every process: facts without language, after the commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import msgspec
import redis.asyncio as redis
import structlog
from redis.exceptions import RedisError

from tracking_server.domain.updates import JobChanged, Notice, Position, StreamOpened
from tracking_server.live import names

log = structlog.get_logger()
PUBLISH_TIMEOUT_S = 0.5  # no phone waits for it; the 3 s comparison brings what was not published
RESUBSCRIBE_S = 1.0


@dataclass(frozen=True, slots=True)
class Envelope:
    """One update on the channel: exactly one field is set."""

    job: JobChanged | None = None
    position: Position | None = None
    stream: StreamOpened | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[Envelope])


class Bus:
    """Publishes updates and hears those of all processes."""

    def __init__(self, url: str) -> None:
        self._redis = redis.from_url(url, socket_connect_timeout=1, socket_timeout=1)

    async def publish(self, updates: Sequence[Notice]) -> None:
        """Tell what changed, in one message: each costs its sender and its readers as much as many updates in it. Never
        raises: Redis is only the fast lane."""
        if not updates:
            return
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                await self._redis.publish(names.UPDATES, _encoder.encode([_envelope(update) for update in updates]))
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("redis_publish_failed", error=type(error).__name__, updates=len(updates))
        _end_if_cancelled()

    async def listen(self, hear: Callable[[Notice], None]) -> None:
        """Hear every update until cancelled; subscribes again when Redis was away."""
        while True:
            try:
                async for updates in self._messages():
                    for update in updates:
                        hear(update)
            except (RedisError, OSError) as error:
                _end_if_cancelled()
                log.warning("redis_subscription_lost", error=type(error).__name__)
                await asyncio.sleep(RESUBSCRIBE_S)

    async def _messages(self) -> AsyncIterator[list[Notice]]:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe(names.UPDATES)
            while True:
                message = await subscription.get_message(timeout=0.5)
                _end_if_cancelled()
                if message is None:
                    continue
                try:
                    updates = _decode(message["data"])
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    log.warning("update_unreadable")  # of another version during an upgrade: the comparison brings it
                    continue
                yield updates

    async def ping(self) -> bool:
        """Whether Redis answers."""
        try:
            return bool(await self._redis.ping())
        except (RedisError, OSError):
            return False

    async def close(self) -> None:
        await self._redis.aclose()


def _end_if_cancelled() -> None:
    """redis-py swallows a cancellation that meets it while it connects, or makes an error of its own of it: the task
    would go on."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _envelope(update: Notice) -> Envelope:
    if isinstance(update, Position):
        return Envelope(position=update)
    return Envelope(job=update) if isinstance(update, JobChanged) else Envelope(stream=update)


def _decode(data: bytes) -> list[Notice]:
    updates = [envelope.job or envelope.position or envelope.stream for envelope in _decoder.decode(data)]
    known = [update for update in updates if update is not None]
    if len(known) < len(updates):
        raise msgspec.ValidationError("an envelope without an update")
    return known
