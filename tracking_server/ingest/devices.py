"""Which phone is speaking, and pairing a new one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from tracking_server import tokens
from tracking_server.clock import Clock
from tracking_server.store import devices as device_store
from tracking_server.store.devices import Device
from tracking_server.store.engine import begin, transaction

REMEMBER_S = 3.0  # a revoked key is dead within five seconds; until then a phone costs no look-up per request
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


class Devices:
    """Finds phones by their keys, remembering each for a moment."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._known: dict[bytes, tuple[float, Device | None]] = {}

    async def authenticate(self, authorization: str) -> Device | None:
        """The phone whose key stands in an `Authorization: Bearer` header, None when it is not one of ours."""
        scheme, _, key = authorization.partition(" ")
        parsed = tokens.parse(key.strip(), tokens.Purpose.device) if scheme.lower() == "bearer" else None
        if parsed is None:
            return None
        organisation_id, key_hash = parsed
        known = self._known.get(key_hash)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        async with transaction(self._engine, organisation_id) as connection:
            device = await device_store.find_device(connection, organisation_id, key_hash)
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[key_hash] = (time.monotonic() + REMEMBER_S, device)
        return device

    def forget(self, device_id: UUID) -> None:
        """This phone was shut out: it is looked up anew."""
        for key_hash in [
            key for key, (_, device) in self._known.items() if device is not None and device.id == device_id
        ]:
            del self._known[key_hash]

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
        return Pairing(device_id, organisation_id, technician_id, key, *names)
