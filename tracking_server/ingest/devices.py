"""Which phone is speaking, and pairing a new one."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from tracking_server import tokens
from tracking_server.clock import Clock
from tracking_server.store import devices as device_store
from tracking_server.store.devices import Device
from tracking_server.store.engine import begin, transaction, watching

# A revoked key is dead within five seconds: for a moment nobody asks, then one query asks for all phones while they go
# on, and after twice that they wait for its answer.
SURE_FOR_S = 2.0
TRUSTED_FOR_S = 4.0
REMEMBERED_FOR_S = 600.0  # of silence: a phone at work speaks every four minutes
UNKNOWN_FOR_S = 3.0  # who tries a wrong key again and again costs a look-up so often
MOST_REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class Pairing:
    """A paired phone, with the key that only it knows."""

    device_id: UUID
    organisation_id: UUID
    technician_id: UUID
    key: str
    technician_name: str
    organisation_name: str


@dataclass(slots=True)
class Known:
    """A phone by its key; `used_s` is when it spoke last, of the monotonic clock."""

    device: Device
    paired_s: float
    used_s: float


class Devices:
    """Finds phones by their keys, and remembers them: one look at the store for all of them says who is one no more.

    Keys are remembered by their hashes only.
    """

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._known: dict[bytes, Known] = {}
        self._unknown: dict[bytes, float] = {}
        self._sure_at_s = -math.inf
        self._look: asyncio.Task[None] | None = None

    async def authenticate(self, authorization: str) -> Device | None:
        """The phone whose key stands in an `Authorization: Bearer` header, None when it is not one of ours.

        Raises `Unavailable` when that cannot be told now.
        """
        name = hashlib.sha256(authorization.encode("latin-1", "replace")).digest()
        if name in self._known:
            await self._be_sure()
        known, now_s = self._known.get(name), time.monotonic()
        if known is not None:
            known.used_s = now_s
            return known.device
        if self._unknown.get(name, now_s) > now_s:
            return None
        return await self._find(name, authorization)

    def forget(self, device_id: UUID) -> None:
        """This phone was shut out: it is looked up anew."""
        for name in [name for name, known in self._known.items() if known.device.id == device_id]:
            del self._known[name]

    async def _find(self, name: bytes, authorization: str) -> Device | None:
        scheme, _, key = authorization.partition(" ")
        parsed = tokens.parse(key.strip(), tokens.Purpose.device) if scheme.lower() == "bearer" else None
        if parsed is None:
            return None
        organisation_id, key_hash = parsed
        began_s = time.monotonic()
        async with transaction(self._engine, organisation_id) as connection:
            found = await device_store.find_device(connection, organisation_id, key_hash)
        if found is None:
            _make_room(self._unknown)
            self._unknown[name] = began_s + UNKNOWN_FOR_S
            return None
        if not self._known:
            self._sure_at_s = began_s
        _make_room(self._known)
        self._known[name] = Known(*found, began_s)
        return found[0]

    async def _be_sure(self) -> None:
        """Returns when what is remembered is true, or was a moment ago."""
        age_s = time.monotonic() - self._sure_at_s
        if age_s < SURE_FOR_S:
            return
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._look_again())
            self._look.add_done_callback(_seen)
        if age_s >= TRUSTED_FOR_S:
            await asyncio.shield(self._look)

    async def _look_again(self) -> None:
        began_s = time.monotonic()
        asked = {name: known for name, known in self._known.items() if began_s - known.used_s < REMEMBERED_FOR_S}
        async with watching(self._engine) as connection:
            gone = await device_store.shut_out(connection, {(one.device.id, one.paired_s) for one in asked.values()})
        for name, known in list(self._known.items()):
            silent = known.used_s < began_s and name not in asked
            if silent or (known.device.id, known.paired_s) in gone:
                del self._known[name]
        self._sure_at_s = began_s

    async def pair(self, typed_code: str, name: str, earlier_keys: Sequence[str] = ()) -> Pairing | None:
        """Pair a phone by its one-time code; None when the code is unknown, used or too old.

        A phone that had one of these keys for the same technician stays the same one.
        """
        now_s = self._clock.now()
        code_hash = tokens.digest(tokens.normal_code(typed_code), tokens.Purpose.pairing)
        async with begin(self._engine) as connection:
            owner = await device_store.use_pairing_code(connection, code_hash, now_s)
            if owner is None:
                return None
            organisation_id, technician_id = owner
            key, key_hash = tokens.mint(organisation_id, tokens.Purpose.device)
            earlier = [parsed[1] for text in earlier_keys if (parsed := tokens.parse(text, tokens.Purpose.device))]
            device_id = await device_store.renew_device(
                connection, organisation_id, technician_id, earlier, key_hash=key_hash, now_s=now_s
            ) or await device_store.insert_device(
                connection, organisation_id, technician_id, name=name, key_hash=key_hash, now_s=now_s
            )
            names = await device_store.read_names(connection, organisation_id, technician_id)
        self.forget(device_id)
        return Pairing(device_id, organisation_id, technician_id, key, *names)


def _make_room(remembered: dict[bytes, Any]) -> None:
    """The first to come goes first."""
    if len(remembered) >= MOST_REMEMBERED:
        del remembered[next(iter(remembered))]


def _seen(look: asyncio.Task[None]) -> None:
    """Those who wait for a look hear its error; without anybody there is none to tell."""
    if not look.cancelled():
        look.exception()
