"""However a drive reaches the service, it ends in the same arrival."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.firm import HOME, Phone, drive_north_to_door, stream_of, trusted
from tracking_server.domain import eta
from tracking_server.domain.checkpoint import Checkpoint
from tracking_server.domain.events import EventKind
from tracking_server.domain.fix import Fix
from tracking_server.domain.geofence import Geofence
from tracking_server.domain.job import Job, State
from tracking_server.domain.shift import Shift
from tracking_server.store.devices import Device
from tracking_server.store.fixes import TapReceipt
from tracking_server.store.memory import Technician
from tracking_server.turn import Turn

NOON = 20_000 * 86_400.0 + 43_200
DEVICE = Device(UUID(int=1), UUID(int=2), UUID(int=3))
JOB = Job(UUID(int=4), State.assigned, 1, Geofence(*HOME), DEVICE.technician_id, 1, assigned_at_s=NOON - 100)


def a_drive() -> list[Fix]:
    return drive_north_to_door(Phone(DEVICE, "", stream_of(NOON)), NOON)


def drive_through(batches: list[list[Fix]]) -> list[tuple[EventKind, float]]:
    """What the service makes of these batches, with a list for a store."""
    technician = Technician(DEVICE.technician_id, DEVICE.organisation_id, 0, Checkpoint(), (Shift(NOON - 50),), (JOB,))
    phone = Phone(DEVICE, "", stream_of(NOON))
    stored: dict[int, Fix] = {}
    happened = []
    for batch in batches:
        turn = Turn.of(technician, NOON + 1000)
        turn.take(phone.delivery(NOON + 1000, batch), TapReceipt())
        stored |= {fix.seq: fix for fix in trusted(turn)}
        lane: list[Fix] = []
        for part in turn.lanes:
            numbers = range(part.stretch.first, part.stretch.last + 1)
            lane += [stored[seq] for seq in numbers] if part.stretch.stored else part.fixes
        assessment = turn.assess(lane, eta.DEFAULT)
        happened += [(item.event.kind, item.event.at_s) for item in assessment.happenings]
        technician = turn.after(assessment)
    assert technician.checkpoint.position == a_drive()[-1], "the position is the newest, whatever came last"
    return happened


@st.composite
def any_batches(draw: st.DrawFn) -> list[list[Fix]]:
    """The drive cut into pieces, shuffled, some sent again."""
    drive = a_drive()
    cuts = sorted(draw(st.sets(st.integers(1, len(drive) - 1), max_size=8)))
    pieces = [drive[a:b] for a, b in zip([0, *cuts], [*cuts, len(drive)], strict=True)]
    again = draw(st.lists(st.sampled_from(pieces), max_size=3))
    return draw(st.permutations([*pieces, *again]))


@settings(max_examples=200, deadline=None)
@given(any_batches())
def test_any_cut_order_and_repetition_arrives_once_at_the_same_time(batches: list[list[Fix]]) -> None:
    """Newest first, in pieces, twice: the same events with the same times as in one piece."""
    whole = drive_through([a_drive()])
    assert EventKind.arrived in [kind for kind, _ in whole]
    assert drive_through(batches) == whole
