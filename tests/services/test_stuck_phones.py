"""No input makes a phone send the same thing for ever: whatever it says, it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.clocks import SetClock
from tests.support.firm import Firm, Phone
from tests.support.rows import count, job_row, rows
from tracking_server import group_commit
from tracking_server.domain.events import TapKind
from tracking_server.embedded import Installation
from tracking_server.group_commit import Acknowledgement, GroupCommit
from tracking_server.ingest import wire
from tracking_server.journey import Journey
from tracking_server.live.bus import Bus
from tracking_server.store import people
from tracking_server.store.engine import Locked, Unavailable, transaction
from tracking_server.turn import Delivery


async def at_work(journey: Journey, firm: Firm, clock: SetClock) -> Phone:
    """A phone whose shift is open."""
    phone = await firm.phone()
    clock.now_s = firm.now_s + 1000
    start = phone.tap(firm.now_s, TapKind.shift_start)
    await journey.accept(phone.delivery(clock.now_s, taps=[start]))
    return phone


@pytest.mark.parametrize(
    "items",
    [
        '"fixes": [{"seq": 9, "time": %s, "lat": 41.1, "lon": -8.6, "accuracy_m": NaN}]',
        '"fixes": [{"seq": 9, "time": %s, "lat": 41.1, "lon": -8.6, "accuracy_m": 1e300, "altitude_m": -1e300}]',
        '"sent_at": 90000000000, "taps": [{"seq": 9, "time": %s, "kind": "arrived"}]',
        '"sent_at": 1, "taps": [{"seq": 9, "time": %s, "kind": "shift_end"}]',
        '"taps": [{"seq": 9, "time": -90000000000, "kind": "arrived"}]',
        '"taps": [{"seq": 9, "time": 1e300, "kind": "arrived"}]',
        '"taps": [{"seq": 9, "time": 0.001, "kind": "shift_end"}]',
    ],
)
async def test_absurd_numbers_are_answered(journey: Journey, firm: Firm, clock: SetClock, items: str) -> None:
    """NaN, infinities and times outside all calendars, as a phone would write them."""
    phone = await at_work(journey, firm, clock)
    items = items % (firm.now_s + 5) if "%s" in items else items
    delivery = wire.read(f'{{"stream": {phone.stream}, {items}}}'.encode(), phone.device, clock.now_s)
    assert (await journey.accept(delivery)).ack == ((9, 9),)


numbers = st.integers() | st.floats() | st.sampled_from([0, -1, 1e9, 1.8e9, 4e9, 1e11, 1e300])
fixes = st.fixed_dictionaries(
    {"seq": st.integers(2, 40), "time": numbers, "lat": numbers, "lon": numbers},
    optional={"accuracy_m": numbers, "speed_mps": numbers, "altitude_m": numbers, "battery_pct": numbers},
)
taps = st.fixed_dictionaries({"seq": st.integers(2, 40), "time": numbers, "kind": st.sampled_from(sorted(TapKind))})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(fixes, max_size=5), st.lists(taps, max_size=5), numbers)
async def test_whatever_can_be_read_can_be_kept(
    journey: Journey, firm: Firm, clock: SetClock, sent: list[dict[str, float]], tapped: list[object], sent_at: float
) -> None:
    """Everything that the reader lets through, the store takes or quarantines: never `Unavailable`."""
    phone = await at_work(journey, firm, clock)
    body = {"stream": phone.stream, "sent_at": sent_at, "fixes": sent, "taps": tapped}
    delivery = wire.read(wire.json.dumps(body).encode(), phone.device, clock.now_s)
    answered = {n for first, last in (await journey.accept(delivery)).ack for n in range(first, last + 1)}
    assert answered == set(delivery.numbers)


async def test_ten_thousand_useless_items_are_answered(journey: Journey, firm: Firm, clock: SetClock) -> None:
    """More than one statement has parameters for: old fixes, and taps."""
    phone = await at_work(journey, firm, clock)
    old = [phone.fix(firm.now_s - 31 * 86_400 + n) for n in range(9_000)]
    assert (await journey.accept(phone.delivery(clock.now_s, old))).ack == ((2, 9_001),)
    assert await count(firm, "quarantine") == 9_000
    taps = [phone.tap(firm.now_s + n / 100, TapKind.arrived) for n in range(8_000)]
    assert (await journey.accept(phone.delivery(clock.now_s, taps=taps))).ack == ((9_002, 17_001),)


async def test_a_shift_start_that_comes_late_leaves_no_shift_open(
    journey: Journey, firm: Firm, clock: SetClock
) -> None:
    """From before a shift that is known: without effect, also for a process that reads the shifts anew."""
    phone = await firm.phone()
    start_s, clock.now_s = firm.now_s, firm.now_s + 1000
    day = [phone.tap(start_s + 200, TapKind.shift_start), phone.tap(start_s + 300, TapKind.shift_end)]
    await journey.accept(phone.delivery(clock.now_s, taps=day))
    await journey.accept(phone.delivery(clock.now_s, taps=[phone.tap(start_s + 100, TapKind.shift_start)]))
    async with transaction(firm.engine, firm.organisation_id) as connection:
        await people.count_versions_up(connection, firm.organisation_id, [phone.device.technician_id])
    next_day = [phone.tap(start_s + 150, TapKind.shift_end), phone.tap(start_s + 400, TapKind.shift_start)]
    await journey.accept(phone.delivery(clock.now_s, taps=next_day))
    shifts = sorted((row.started_at.timestamp() - start_s, row.ended_at is None) for row in await rows(firm, "shift"))
    assert shifts == [(200, False), (400, True)]


async def test_an_undo_never_makes_two_drives(journey: Journey, firm: Firm, clock: SetClock) -> None:
    """Arrived at A, on the way to B, arrival at A undone: on the way to A again, and to nobody else."""
    phone = await at_work(journey, firm, clock)
    a, b = [await firm.job(phone.device.technician_id) for _ in range(2)]
    steps = ((TapKind.en_route, a), (TapKind.arrived, a), (TapKind.en_route, b), (TapKind.undo, a))
    for n, (kind, job_id) in enumerate(steps):
        answer = await journey.accept(phone.delivery(clock.now_s, taps=[phone.tap(firm.now_s + n, kind, job_id)]))
        assert answer.verdicts == {}
    assert (await job_row(firm, a)).state == "en_route"
    assert (await job_row(firm, b)).state == "assigned"


async def test_a_jump_that_is_sent_again_is_no_proof_of_itself(journey: Journey, firm: Firm, clock: SetClock) -> None:
    """The answer was lost: the same batch again gets the same verdict, and the position stays."""
    phone = await at_work(journey, firm, clock)
    await journey.accept(phone.delivery(clock.now_s, [phone.fix(firm.now_s + 10, 10.0)]))
    jump = phone.delivery(clock.now_s, [phone.fix(firm.now_s + 20, 500_000.0)])
    first, second = await journey.accept(jump), await journey.accept(jump)
    assert first == second
    assert list(first.verdicts.values()) == ["jump"]
    (technician,) = await rows(firm, "technician")
    assert technician.position_time.timestamp() == firm.now_s + 10


async def test_a_tap_that_is_sent_again_is_answered_as_before(journey: Journey, firm: Firm, clock: SetClock) -> None:
    """The phone learns that a tap had no effect, also when the first answer was lost."""
    phone = await at_work(journey, firm, clock)
    delivery = phone.delivery(clock.now_s, taps=[phone.tap(firm.now_s + 1, TapKind.arrived, firm.organisation_id)])
    first, second = await journey.accept(delivery), await journey.accept(delivery)
    assert first == second
    assert list(first.verdicts.values()) == ["not_yours"]


async def test_a_locked_queue_is_a_store_that_is_away(
    journey: Journey, firm: Firm, clock: SetClock, servers: Installation, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tap that owes a message is not acknowledged, so that its effect is not lost; sent again, it works."""
    monkeypatch.setattr(group_commit, "LOCKED_S", 0.0)  # it is sent again at once
    phone = await at_work(journey, firm, clock)
    job_id = await firm.job(phone.device.technician_id)
    delivery = phone.delivery(clock.now_s, taps=[phone.tap(firm.now_s + 1, TapKind.en_route, job_id)])
    owner = sa.create_engine(servers.owner_url(database))
    with owner.begin() as connection:
        connection.execute(sa.text("LOCK TABLE procrastinate_jobs IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(Unavailable):
            await journey.accept(delivery)
    owner.dispose()
    assert (await journey.accept(delivery)).verdicts == {}
    assert (await job_row(firm, job_id)).state == "en_route"


@pytest.mark.parametrize(("held", "flushes", "kept"), [(1, 6, 4), (5, 3, 0)])
async def test_locks_are_waited_for_only_so_often(
    firm: Firm, clock: SetClock, held: int, flushes: int, kept: int
) -> None:
    """One technician's costs a flush two waits, a table's three, however many phones share it; then the one is refused
    without a wait."""
    phones = [await firm.phone(f"Technician {n}") for n in range(5)]
    locked = {phone.device.technician_id for phone in phones[:held]}
    tried: list[int] = []

    async def flush(deliveries: Sequence[Delivery], _: object) -> list[Acknowledgement]:
        tried.append(len(deliveries))
        if locked & {delivery.device.technician_id for delivery in deliveries}:
            raise Locked("the store is not available")
        return [Acknowledgement((), {})] * len(deliveries)

    commits = GroupCommit(flush, flushers=1)
    waiting = [asyncio.create_task(commits.submit(phone.delivery(clock.now_s))) for phone in phones]
    await asyncio.sleep(0)
    running = asyncio.create_task(commits.run())
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert (len(tried), [type(answer) for answer in answers].count(Acknowledgement)) == (flushes, kept)
    refused = next(phone for phone, answer in zip(phones, answers, strict=True) if isinstance(answer, Locked))
    with pytest.raises(Unavailable):
        await commits.submit(refused.delivery(clock.now_s))
    assert len(tried) == flushes
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_memory_is_bounded_and_nobody_waits_for_ever(
    firm: Firm, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is weighed, also rejected bodies; those in flight when the service stops are told to come back."""
    monkeypatch.setattr("tracking_server.group_commit.MOST_WAITING", 500)

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    commits = GroupCommit(never, flushers=1)  # type: ignore[arg-type]
    running = asyncio.create_task(commits.run())
    phone = await firm.phone()
    body = wire.inflate(b"x" * 60_000, "")
    unreadable = wire.Rejected(phone.device.id, wire.Verdict.unreadable, body, clock.now_s)
    delivery = phone.delivery(clock.now_s)
    delivery = type(delivery)(phone.device, phone.stream, None, clock.now_s, rejected=[unreadable])
    waiting = [asyncio.create_task(commits.submit(delivery)) for _ in range(20)]
    await asyncio.sleep(0.05)
    refused = [task for task in waiting if task.done()]
    assert 0 < len(refused) < 20
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    with pytest.raises(Unavailable):
        await commits.submit(delivery)


async def test_what_nobody_can_read_on_the_bus_is_passed_over(bus: Bus, servers: Installation) -> None:
    """An update of another version, during an upgrade, does not end the listening."""
    heard: list[object] = []
    listening = asyncio.create_task(bus.listen(heard.append))
    await asyncio.sleep(0.3)
    for junk in (b"{}", b"junk", b'{"job": {"x": 1}}', b"\xff"):
        await bus._redis.publish("doorstep:updates", junk)
    await asyncio.sleep(0.3)
    assert not listening.done()
    assert heard == []
    listening.cancel()


async def test_many_useless_taps_are_marked_together(journey: Journey, firm: Firm, clock: SetClock) -> None:
    """Thousands of taps about a visit that is not theirs are one phone's fault, and cost its flush one statement."""
    phone = await at_work(journey, firm, clock)
    stranger = await firm.job((await firm.phone()).device.technician_id)
    taps = [phone.tap(firm.now_s + 10, TapKind.en_route, stranger) for _ in range(3_000)]
    answer = await journey.accept(phone.delivery(clock.now_s, taps=taps))
    assert set(answer.verdicts.values()) == {"not_yours"}
    kept = [row.verdict for row in await rows(firm, "tap") if row.kind == "en_route"]
    assert kept == ["not_yours"] * 3_000
