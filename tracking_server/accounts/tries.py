"""How often a password or a code may be tried: counted in Redis for all processes, in this one while Redis is away."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import TypeVar

import structlog
from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

from tracking_server.live import names

log = structlog.get_logger()
WITHIN_MIN = 15
FROM_ONE_ADDRESS = 10  # tries for one account
FOR_ONE_ACCOUNT = 100  # from wherever it never signed in: many addresses guess no faster, nor lock out its owner
KNOWN_DAYS = 30  # an address that an account signed in from is known for so long
BY_ONE_ADDRESS = 100  # for whatever account: an office shares an address in the morning
PAIRINGS_BY_ONE_ADDRESS = 20  # wrong codes for phones, which have 39 bits and live ten minutes
PAIRINGS_BY_ALL = 3_000  # with a hundred codes out, one guess in three million is right in the quarter of an hour
CODES_BY_ONE_ADDRESS = 20  # one-time tokens of 256 bits: nobody guesses them, but nobody needs to try often
ALONE_S = 5.0  # a Redis that hangs is asked so seldom: it takes a second each time, and a sign-in asks four times
Answer = TypeVar("Answer")

PAIR = RateLimitItemPerMinute(FROM_ONE_ADDRESS, WITHIN_MIN, namespace=names.TRIES)
ACCOUNT = RateLimitItemPerMinute(FOR_ONE_ACCOUNT, WITHIN_MIN, namespace=names.TRIES)
ADDRESS = RateLimitItemPerMinute(BY_ONE_ADDRESS, WITHIN_MIN, namespace=names.TRIES)
KNOWN = RateLimitItemPerDay(1, KNOWN_DAYS, namespace=names.TRIES)
CODES = RateLimitItemPerMinute(CODES_BY_ONE_ADDRESS, WITHIN_MIN, namespace=names.TRIES)
PAIRINGS = RateLimitItemPerMinute(PAIRINGS_BY_ONE_ADDRESS, WITHIN_MIN, namespace=names.TRIES)
ALL_PAIRINGS = RateLimitItemPerMinute(PAIRINGS_BY_ALL, WITHIN_MIN, namespace=names.TRIES)


class Tries:
    """Counts tries before the password is looked at, so that many at once are no way around."""

    def __init__(self, redis_url: str) -> None:
        pool = BlockingConnectionPool.from_url(redis_url, max_connections=4, socket_connect_timeout=1, socket_timeout=1)
        # The pool says where to connect; many tries at once wait for it instead of being counted elsewhere.
        redis = RedisStorage("async+redis://", implementation="redispy", connection_pool=pool)  # type: ignore[arg-type]
        self._shared = MovingWindowRateLimiter(redis)
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._alone_until = 0.0

    async def sign_in(self, email: str, address: str) -> bool:
        """Count one try; says whether it may be made."""
        account, place = _short(email), _network(address)
        return (
            await self._hit(PAIR, account, place)
            and (await self._is_known(account, place) or await self._hit(ACCOUNT, account))
            and await self._hit(ADDRESS, place)
        )

    async def signed_in(self, email: str, address: str) -> None:
        """It was the right one: its mistakes from here are forgotten, and it is known here."""
        await self._hit(KNOWN, _short(email), _network(address))
        await self._clear(PAIR, _short(email), _network(address))

    async def code(self, address: str) -> bool:
        """Count one look at a set-up or invite token; says whether it may be had."""
        return await self._hit(CODES, "code", _network(address))

    async def pairing(self, address: str) -> bool:
        """Count one pairing code; says whether it may be looked at."""
        return await self._hit(PAIRINGS, "pairing", _network(address)) and await self._hit(ALL_PAIRINGS, "pairings")

    async def paired(self, address: str) -> None:
        """It was a right one: the mistakes from here are forgotten."""
        await self._clear(PAIRINGS, "pairing", _network(address))

    async def _clear(self, item: RateLimitItem, *of: str) -> None:
        await self._ask(lambda counts: counts.clear(item, *of))

    async def _is_known(self, account: str, place: str) -> bool:
        return not await self._ask(lambda counts: counts.test(KNOWN, account, place))

    async def _hit(self, item: RateLimitItem, *of: str) -> bool:
        return await self._ask(lambda counts: counts.hit(item, *of))

    async def _ask(self, question: Callable[[MovingWindowRateLimiter], Awaitable[Answer]]) -> Answer:
        """The counts of all processes; for a while those of this one, after the others could not be had."""
        if time.monotonic() >= self._alone_until:
            try:
                return await question(self._shared)
            except (RedisError, OSError) as error:
                self._alone_until = time.monotonic() + ALONE_S
                log.warning("tries_counted_alone", error=type(error).__name__)
        return await question(self._own)


def _short(email: str) -> str:
    """Redis keeps no addresses of people."""
    return sha256(email.encode()).hexdigest()[:32]


def _network(address: str) -> str:
    """One household has a whole /64 of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if parsed.version == 6 and parsed.ipv4_mapped:  # as a socket for both kinds names the older one
        parsed = parsed.ipv4_mapped
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)
