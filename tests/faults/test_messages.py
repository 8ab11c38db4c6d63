"""A thousand messages through a gateway that misbehaves, while the workers are killed: none missing, none doubled.

Its receipts come back meanwhile, some before our own mark, some twice.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
import sqlalchemy as sa
from standardwebhooks import Webhook
from starlette.applications import Starlette

from tests.support.clocks import SetClock
from tests.support.firm import HOME, Firm
from tests.support.gateway import Gateway, Taken, gateway
from tests.support.rows import rows
from tests.support.workers import Workers, workers
from tracking_server.dispatch.jobs import NewJob, create_job
from tracking_server.domain.geofence import Geofence
from tracking_server.embedded import Installation
from tracking_server.notify.callbacks import Callbacks
from tracking_server.store import people
from tracking_server.store.engine import transaction
from tracking_server.store.schema import contact, organisation
from tracking_server.view_files import ViewFiles
from tracking_server.words import VIEW

MESSAGES = 1_000
CONTACTS_EACH = 10  # of a job: 100 jobs, quickly made
KILLS = 6
SPEED = 20.0  # of the clock: a wait of 5 s takes 0.25 s, and a worker is taken for dead after 3 s
DONE_WITHIN_S = 120.0  # far more than it takes: a bound, not a claim
SECRET = "whsec_" + base64.b64encode(b"an inbound secret of 32 bytes...").decode()


async def book(firm: Firm) -> None:
    """Jobs in two days' time for customers with several phones each."""
    window = (firm.now_s + 48 * 3600, firm.now_s + 50 * 3600)
    for n in range(0, MESSAGES, CONTACTS_EACH):
        async with transaction(firm.engine, firm.organisation_id) as connection:
            customer_id, _ = await people.insert_customer(
                connection, firm.organisation_id, name="Maria Lopes", email=None, phone=number(n), language="en",
                now_s=firm.now_s,
            )  # fmt: skip
            others = [
                {"organisation_id": firm.organisation_id, "id": uuid4(), "customer_id": customer_id, "name": "Rui",
                 "phone": number(n + m), "language": ("th", "ar", "en")[m % 3]}
                for m in range(1, CONTACTS_EACH)
            ]  # fmt: skip
            await connection.execute(contact.insert(), others)
            new = NewJob(customer_id, "Leaking tap", "Rua das Flores 1", "Europe/Lisbon", Geofence(*HOME), window)
            await create_job(connection, firm.organisation_id, new, actor="test", now_s=firm.now_s)


def number(n: int) -> str:
    return f"+35191{n:07d}"


async def kill_at_times(own: Workers, sms: Gateway, chance: random.Random) -> None:
    """Kill one worker at a random time, or all of them in the very moment after the gateway took a message."""
    for n in range(KILLS):
        await until(lambda n=n: len(sms.shown) > MESSAGES * (n + chance.random()) / (KILLS + 1))  # type: ignore[misc]
        if n % 2:
            own.kill(chance.randrange(2))
        else:
            killed = asyncio.Event()

            def kill(_: Taken, killed: asyncio.Event = killed) -> None:
                if not killed.is_set():
                    own.kill_all()  # before the answer is written
                    killed.set()

            sms.on_taken = kill
            await asyncio.wait_for(killed.wait(), DONE_WITHIN_S)
        while len(own.running) < 2:
            own.start()


class Receipts:
    """Brings the gateway's receipts back: of every other message at once, of the others when all is over."""

    def __init__(self, firm: Firm, sms: Gateway) -> None:
        self.first_s: dict[str, float] = {}  # when each message's first one came, by its id
        self.brought = 0
        self.over = False
        self._sms = sms
        self._seen = 0
        self._late: list[str] = []
        self._clock = SetClock(firm.now_s)
        settings = sms.settings(sms_inbound_secret=SECRET)
        routes = Callbacks(firm.engine, self._clock, settings, ViewFiles(VIEW)).routes()
        transport = httpx.ASGITransport(Starlette(routes=routes))
        self._client = httpx.AsyncClient(transport=transport, base_url="https://doorstep.example")

    async def bring(self) -> None:
        """Until it is `over`."""
        while not self.over:
            for reference in self._new():
                if int(message_of(reference), 16) % 2:
                    self._late.append(reference)
                else:
                    await self._bring(reference)
            await asyncio.sleep(0.02)

    async def bring_rest(self) -> None:
        """What was kept back."""
        for reference in [*self._late, *self._new()]:
            await self._bring(reference)

    def _new(self) -> list[str]:
        new = self._sms.receipts[self._seen :]
        self._seen += len(new)
        return new

    async def _bring(self, reference: str) -> None:
        self.brought += 1
        self._clock.now_s += 1
        self.first_s.setdefault(message_of(reference), self._clock.now_s)
        body = json.dumps({"type": "message.delivered", "data": {"reference": reference}})
        callback_id, at = f"cb{self.brought}", datetime.now(UTC)
        headers = {
            "webhook-id": callback_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(SECRET).sign(callback_id, at, body),
        }
        answer = await self._client.post("/hooks/sms/inbound", content=body, headers=headers)
        assert answer.status_code == 200


def message_of(reference: str) -> str:
    return reference.split(".")[1]


async def until(condition: object, within_s: float = DONE_WITHIN_S) -> None:
    assert callable(condition)
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s
        await asyncio.sleep(0.02)


async def owed(firm: Firm) -> int:
    async with transaction(firm.engine, firm.organisation_id) as connection:
        return int(await connection.scalar(sa.text("SELECT count(*) FROM message WHERE state = 'owed'")) or 0)


async def test_a_thousand_messages_none_missing_none_doubled(
    servers: Installation, database: str, firm: Firm, now_s: float, tmp_path: Path
) -> None:
    """1,000 SMS through 10 % errors, dropped and hanging connections and 429s, with workers killed before the answer
    to a message taken and at random times: each is shown once by its key, and each is on record as sent. Of its
    receipts the first counts."""
    seed = random.randrange(10**6)
    limits = {"quiet_from": "00:00", "quiet_to": "00:00", "sms_per_day": 1_000_000}
    async with transaction(firm.engine, firm.organisation_id) as connection:
        await connection.execute(organisation.update().values(settings=limits))
    await book(firm)
    async with gateway(seed) as sms:
        settings = sms.environment() | {"clock": f"scaled:{now_s}:{SPEED}"}
        begun_s = time.monotonic()
        receipts = Receipts(firm, sms)
        bringing = asyncio.create_task(receipts.bring())
        with workers(servers, database, tmp_path / "workers.log", 2, settings) as own:
            await kill_at_times(own, sms, random.Random(seed))
            sms.on_taken = lambda _: None
            end_s = time.monotonic() + DONE_WITHIN_S
            while await owed(firm) or await queue_left(firm):
                assert time.monotonic() < end_s, (seed, await owed(firm), await queue_left(firm))
                await asyncio.sleep(0.1)
        receipts.over = True
        await bringing
        await receipts.bring_rest()
        took_s = time.monotonic() - begun_s
        log = (tmp_path / "workers.log").read_text()

    messages = await rows(firm, "message")
    again = sum(len(times) - 1 for times in sms.shown.values())
    print(  # noqa: T201 - for the failure report
        f"seed {seed}: {len(sms.shown)} shown, {sms.asked} asked, {again} taken again under their key, "
        f"{own.killed} killed, {took_s:.0f} s, { ({mood.value: n for mood, n in sms.counts.items()}) }"
    )
    assert own.killed >= KILLS
    assert again > 0, "no kill and no drop hit the moment between the gateway's accept and our mark"
    assert len(messages) == MESSAGES
    assert {(row.state, row.reason, row.receipt) for row in messages} <= {
        ("sent", "accepted", "delivered"),
        ("sent", "delivered", "delivered"),  # the receipt was faster than our mark
    }
    assert receipts.brought > MESSAGES, "no receipt came twice"
    assert {row.id.hex: row.receipt_at.timestamp() for row in messages} == receipts.first_s
    assert set(sms.shown) == {str(row.id) for row in messages}, "a message is missing, or nobody owed it"
    assert Counter(times[0].to for times in sms.shown.values()) == {number(n): 1 for n in range(MESSAGES)}
    for times in sms.shown.values():
        assert len({(one.to, one.text) for one in times}) == 1, "under one key, the same words to the same phone"
    assert "+351" not in log
    assert "91000" not in log
    assert await queue_left(firm) == 0


async def queue_left(firm: Firm) -> int:
    """Jobs that the queue still holds: those of a killed worker too, until another has done them, which may be after a
    receipt has settled their message."""
    async with firm.engine.begin() as connection:
        statement = sa.text("SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')")
        return int(await connection.scalar(statement) or 0)
