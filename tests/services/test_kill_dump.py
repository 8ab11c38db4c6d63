"""What the kill test reads out of the database."""

from __future__ import annotations

from pathlib import Path

from tech_app.core.fix import Fix
from tech_app.core.outbox import Outbox
from tech_app.core.tap import Tap, TapKind
from tests.faults.kill.dump import Dumper
from tests.faults.kill.history import gen_of
from tests.support.clocks import SetClock
from tests.support.firm import HOME, METRE, Firm
from tests.support.phone_clock import SetPhoneClock
from tracking_server import links
from tracking_server.ingest import wire
from tracking_server.journey import Journey
from tracking_server.store.engine import transaction
from tracking_server.store.schema import link

WRONG_BY_S = 4_000.0


async def test_what_a_phone_told_is_read_back(journey: Journey, firm: Firm, clock: SetClock, tmp_path: Path) -> None:
    """Fixes and taps of the app's own outbox, on a wrong clock, have the digests that the phone told; what was read is
    not read again, but counted; a revoked link, the job's events and its messages are there."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    outbox = Outbox(tmp_path / "outbox.db", SetPhoneClock(clock.now_s - WRONG_BY_S))
    dumper = Dumper(firm.engine, firm.organisation_id)

    async def see(count: int) -> dict[int, str]:
        for n in range(count):
            time_s = clock.now_s - WRONG_BY_S - count + n
            outbox.append_fix(Fix(time_s, HOME[1] + n / 3 * METRE, HOME[0] + n * METRE, 7.123, 3.3, 359.7, -12.0, 80.0))
        batch = outbox.next_batch(100)
        assert batch is not None
        delivery = wire.read(batch.to_json().encode(), phone.device, clock.now_s)
        answer = await journey.accept(delivery)
        assert answer.verdicts == {}
        told = [gen_of(0.0, str(phone.device.id), batch.stream, row.body) for row in (*batch.taps, *batch.fixes)]
        outbox.forget(batch, answer.ack, {})
        return {gen.seq: gen.digest for gen in told}

    outbox.append_tap(Tap(clock.now_s - WRONG_BY_S - 50, TapKind.shift_start))
    outbox.append_tap(Tap(clock.now_s - WRONG_BY_S - 49, TapKind.en_route, str(job_id)))
    told = await see(5)
    first = await dumper.read()
    assert {row.seq: row.digest for row in (*first.taps, *first.fixes)} == told
    assert first.counts == ((str(phone.device.id), first.fixes[0].stream, 5),)
    assert first.technicians[0].position_epoch_s == max(row.time_epoch_s for row in first.fixes)
    assert [(row.kind, row.version) for row in first.events][:3] == [("scheduled", 2), ("assigned", 3), ("en_route", 4)]
    assert {row.to_state for row in first.audits} >= {"scheduled", "assigned", "en_route"}
    assert {(row.kind, row.state) for row in first.messages} >= {("booked", "owed"), ("on_the_way", "owed")}

    await firm.link(job_id)
    async with transaction(firm.engine, firm.organisation_id) as connection:
        link_id = await connection.scalar(link.select().with_only_columns(link.c.id))
        assert await links.revoke_link(connection, firm.organisation_id, link_id, clock.now_s)
    told = await see(3)
    second = await dumper.read()
    assert {row.seq: row.digest for row in second.fixes} == told
    assert second.counts[0][2] == 8
    assert (len(second.events), second.event_count) == (0, first.event_count)
    assert second.links[0].revoked_epoch_s == clock.now_s
    assert len((await dumper.read(whole=True)).fixes) == 8
    outbox.close()
