"""Who is remembered as a phone of ours, and what it costs to be sure."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.clocks import SetClock
from tests.support.firm import Firm, Phone
from tracking_server import tokens
from tracking_server.ingest.devices import SURE_FOR_S, TRUSTED_FOR_S, Devices
from tracking_server.store import devices as device_store
from tracking_server.store.engine import Unavailable, create_engine, transaction


class Passing:
    """The monotonic clock, as much later as is said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.later_s = 0.0
        real = time.monotonic
        monkeypatch.setattr("tracking_server.ingest.devices.time.monotonic", lambda: real() + self.later_s)


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Passing:
    return Passing(monkeypatch)


def bearer(phone: Phone) -> str:
    return f"Bearer {phone.key}"


def count_transactions(engine: AsyncEngine) -> list[str]:
    counted: list[str] = []
    sa.event.listen(engine.sync_engine, "begin", lambda _: counted.append("begin"))
    return counted


async def test_phones_that_were_silent_share_one_look(
    engine: AsyncEngine, firm: Firm, clock: SetClock, passing: Passing
) -> None:
    """However many phones come again after a silence, the store is asked once for all of them."""
    devices = Devices(engine, clock)
    phones = [await firm.phone() for _ in range(20)]
    for phone in phones:
        assert await devices.authenticate(bearer(phone)) == phone.device
    passing.later_s = TRUSTED_FOR_S + 1
    counted = count_transactions(engine)
    for phone in phones:
        assert await devices.authenticate(bearer(phone)) == phone.device
    assert len(counted) == 1


async def test_a_revoked_phone_and_a_replaced_key_are_dead_at_the_next_look(
    engine: AsyncEngine, firm: Firm, clock: SetClock, passing: Passing
) -> None:
    """Of three remembered phones one is revoked and one has another key: both old keys end, the third phone goes on."""
    devices = Devices(engine, clock)
    lost, renewed, kept = [await firm.phone() for _ in range(3)]
    for phone in (lost, renewed, kept):
        assert await devices.authenticate(bearer(phone)) is not None
    _, other_hash = tokens.mint(firm.organisation_id, tokens.Purpose.device)
    hashes = [tokens.parse(renewed.key, tokens.Purpose.device)[1]]
    async with transaction(engine, firm.organisation_id) as connection:
        await device_store.revoke_devices(connection, firm.organisation_id, lost.device.technician_id, firm.now_s)
        await device_store.renew_device(
            connection, firm.organisation_id, renewed.device.technician_id, hashes,
            key_hash=other_hash, now_s=firm.now_s + 1,
        )  # fmt: skip
    passing.later_s = TRUSTED_FOR_S
    answers = [await devices.authenticate(bearer(phone)) for phone in (lost, renewed, kept)]
    assert answers == [None, None, kept.device]


async def test_phones_go_on_for_a_moment_while_the_store_is_away(
    engine: AsyncEngine, firm: Firm, clock: SetClock, passing: Passing
) -> None:
    """Without an answer a remembered phone is trusted a little longer, and then nobody is."""
    devices = Devices(engine, clock)
    phone = await firm.phone()
    assert await devices.authenticate(bearer(phone)) == phone.device
    devices._engine = create_engine("postgresql+psycopg://doorstep_app@127.0.0.1:1/doorstep")
    passing.later_s = SURE_FOR_S
    assert await devices.authenticate(bearer(phone)) == phone.device
    passing.later_s = TRUSTED_FOR_S
    with pytest.raises(Unavailable):
        await devices.authenticate(bearer(phone))
