"""Redis is wiped, killed, full or hangs under load: no phone notices, and pages learn of everything a little later."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.support.crowd import all_kept_once, crowd, hung
from tests.support.firm import Firm
from tests.support.server import serving
from tests.support.watched_drive import watched_drive
from tracking_server.accounts.tries import FROM_ONE_ADDRESS, Tries
from tracking_server.embedded import Installation
from tracking_server.live.names import UPDATES

PHONES = 10
STEPS = 2  # while there is trouble
POLLED_WITHIN_S = 8.0  # by the comparison with the store every 3 s, on a machine under load
BACK_WITHIN_S = 10.0


@contextmanager
def wiped(servers: Installation) -> Iterator[None]:
    """Everything in it is gone. Nothing else is: who listens goes on listening."""
    with redis.from_url(servers.redis_url) as client:
        client.flushall()
    yield


@contextmanager
def killed(servers: Installation) -> Iterator[None]:
    """By SIGKILL; its keeper starts it again."""
    for pid in servers.redis_pids():
        os.kill(pid, signal.SIGKILL)
    yield


@contextmanager
def hanging(servers: Installation) -> Iterator[None]:
    """It takes connections and answers none."""
    with hung(servers.redis_pids()):
        yield


@contextmanager
def full(servers: Installation) -> Iterator[None]:
    """It refuses to keep anything more."""
    with redis.from_url(servers.redis_url) as client:
        before = client.config_get("maxmemory")["maxmemory"]
        client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            client.config_set("maxmemory", before)


async def test_redis_is_only_the_fast_lane(servers: Installation, database: str, firm: Firm) -> None:
    """Every phone goes on being acknowledged, the open page learns of each step, and afterwards it is live again."""
    with serving(servers, database) as server:
        async with watched_drive(server, firm) as drive, crowd(server.url, firm, PHONES) as phones:
            await drive.go_on(within_s=10)
            for trouble in (wiped, killed, full, hanging):
                with trouble(servers):
                    trouble_s = time.monotonic()
                    for _ in range(STEPS):
                        await drive.go_on(POLLED_WITHIN_S)
                        await phones.all_heard_since(time.monotonic(), 10)
                    ready = await drive.client.get("/readyz")
                    assert (ready.status_code, ready.json()["store"]) == (200, True)
                assert {answer.status for answer in phones.between(trouble_s, time.monotonic())} == {200}
                await until_heard(servers)
                await drive.go_on(within_s=2.0)  # sooner than a comparison with the store brings it
    await all_kept_once(servers, database, firm, phones)


async def test_tries_are_counted_while_redis_hangs(servers: Installation) -> None:
    """By the process alone: nobody guesses passwords faster. It is asked again only now and then."""
    tries = Tries(servers.redis_url)
    with hung(servers.redis_pids()):
        begun = time.monotonic()
        made = [await tries.sign_in("ana@example.com", "192.0.2.7") for _ in range(FROM_ONE_ADDRESS + 1)]
        assert made == [True] * FROM_ONE_ADDRESS + [False]
        assert time.monotonic() - begun < FROM_ONE_ADDRESS  # a second for each question would be thirty


async def until_heard(servers: Installation) -> None:
    """Returns when the service listens again."""
    async with asyncio.timeout(BACK_WITHIN_S):
        while listeners(servers) == 0:  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.1)


def listeners(servers: Installation) -> int:
    """How many processes hear updates."""
    try:
        with redis.from_url(servers.redis_url) as client:
            return int(client.pubsub_numsub(UPDATES)[0][1])
    except redis.RedisError:
        return 0
