"""What the screens say, without a screen."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import tech_app
from tech_app.core.day import NotNow, ProofMissing
from tech_app.core.jobs import Job, News, Note, Proof, Rule, State, Tiding
from tech_app.core.outbox import DeadTap, Facts, NoRoom
from tech_app.core.region import Progress, Standing
from tech_app.core.session import Refused, Session, Why, read_invitation
from tech_app.core.shift import Shift
from tech_app.core.status import Connection, Seen, Status
from tech_app.core.tap import Tap, TapKind
from tech_app.core.uplink import Skew
from tech_app.ui import words
from tech_app.ui.views import ask, said
from tech_app.ui.views.ask import Doubt, doubts
from tech_app.ui.views.diagnostics import Device, diagnostics_view
from tech_app.ui.views.job import job_view
from tech_app.ui.views.link import Mood, gps_line, link_line
from tech_app.ui.views.pairing import notice, question, refusal, unpair_question
from tech_app.ui.views.today import earlier_stop, next_job, today_view
from tests.support.phone_clock import NOON_S

TODAY, TOMORROW = "2026-01-27", "2026-01-28"
MARIA = Job(
    "m", State.assigned, 1, 41.0, -8.0, TODAY, "Leaking tap", "Rua das Flores 1", "Maria", "+351 220 1", "code 12"
)
JOAO = Job("j", State.assigned, 1, 41.0, -8.0, TODAY, "Boiler check", "Rua de Cedofeita 10", "João")
RITA = Job("r", State.assigned, 1, 41.0, -8.0, TOMORROW, "New lamp", "Rua do Sol 3", "Rita")
JOBS = (replace(MARIA, stop_number=1), replace(JOAO, stop_number=2), RITA)
ON = Shift(NOON_S)


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    words.use("en")
    yield
    words.use("en")


def test_the_views_need_no_window() -> None:
    """A tap's words can be told where there is no screen."""
    names = [
        f"tech_app.ui.views.{path.stem}" for path in (Path(tech_app.__file__).parent / "ui" / "views").glob("*.py")
    ]
    program = f"import sys, importlib; [importlib.import_module(n) for n in {names}]; print('kivy' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "False"


def test_the_next_visit_stands_first() -> None:
    """What is begun before what is planned, then the others of today, tomorrow's, and what is finished."""
    view = today_view(JOBS, ON, TODAY, pending={"j"}, changed={"r"})
    assert view.next is not None
    assert (view.next.stop, view.next.action and view.next.action.kind) == ("Stop 1", TapKind.en_route)
    assert [(group.heading, [visit.id for visit in group.visits]) for group in view.groups] == [
        ("Then", ["j"]),
        ("Tomorrow", ["r"]),
    ]
    assert (view.groups[0].visits[0].pending, view.groups[1].visits[0].changed) == (True, True)
    begun = (replace(JOBS[0], state=State.completed), replace(JOBS[1], state=State.arrived), RITA)
    view = today_view(begun, ON, TODAY)
    assert view.next is not None
    assert view.next.id == "j"
    assert [group.heading for group in view.groups] == ["Tomorrow", "Finished"]


def test_a_day_without_visits_says_so() -> None:
    """None, all finished, or none fetched yet, which is not the same as none."""
    assert today_view((), ON, TODAY).empty == "No visits today."
    assert "fetched" in today_view((), ON, TODAY, fetched=False).empty
    assert "finished" in today_view((replace(MARIA, state=State.completed),), ON, TODAY).empty
    assert next_job(()) is None


def test_who_sees_is_always_said() -> None:
    """Off shift and on a break nobody; else the office, and the customer one drives to."""
    driving = (replace(JOBS[0], state=State.en_route), *JOBS[1:])
    seen = [today_view(driving, shift, TODAY).seen for shift in (Shift(), ON, Shift(NOON_S, NOON_S))]
    assert seen[0] == "Nobody can see where you are: you are off shift."
    assert seen[1] == "The office and Maria can see where you are."
    assert seen[2] == "Nobody can see where you are: you are on a break."
    assert today_view(JOBS, ON, TODAY).seen == "The office can see where you are. No customer can."
    removed = today_view(driving, ON, TODAY, paired=False)
    assert (removed.seen, removed.is_seen) == ("Nobody can see where you are: this phone was removed.", False)


def test_a_shift_offers_what_it_allows() -> None:
    """The main action first."""
    kinds = [
        [action.kind for action in today_view(JOBS, shift, TODAY).shift_actions]
        for shift in (Shift(), ON, Shift(NOON_S, NOON_S))
    ]
    assert kinds == [
        [TapKind.shift_start],
        [TapKind.break_start, TapKind.shift_end],
        [TapKind.break_end, TapKind.shift_end],
    ]


def test_a_stop_left_out_is_noticed() -> None:
    """Only when an earlier one of the same day is not begun."""
    assert earlier_stop(JOBS, JOBS[1]) == JOBS[0]
    assert earlier_stop(JOBS, JOBS[0]) is None
    assert earlier_stop((replace(JOBS[0], state=State.completed), JOBS[1]), JOBS[1]) is None
    assert earlier_stop(JOBS, RITA) is None


def test_a_visit_has_one_main_action() -> None:
    """By its state; an ended one has none, and can be undone."""
    told = {}
    for state in State:
        job = replace(MARIA, state=state, previous_state=State.assigned)
        view = job_view(job, {}, TODAY, NOON_S, pending=False)
        told[state] = (view.action and view.action.kind, [action.kind for action in view.menu])
    k = TapKind
    assert told == {
        State.scheduled: (None, []),
        State.assigned: (k.en_route, [k.late, k.no_access]),
        State.en_route: (k.arrived, [k.late, k.no_access, k.undo]),
        State.arrived: (k.start, [k.not_home, k.no_access, k.undo]),
        State.in_progress: (k.done, [k.no_access, k.undo]),
        State.completed: (None, [k.undo]),
        State.cancelled: (None, []),
        State.no_access: (None, [k.undo]),
    }


def test_done_says_what_is_missing() -> None:
    """Required proof that is not there; optional proof never stands in the way, what is off is not shown."""
    rules = ((Proof.photo, Rule.required), (Proof.signature, Rule.required), (Proof.note, Rule.off))
    job = replace(MARIA, state=State.in_progress, proof=rules)
    view = job_view(job, {}, TODAY, NOON_S, pending=False)
    assert view.hint == "Still missing: photo and signature"
    assert [(line.kind, line.missing) for line in view.proof] == [(Proof.photo, True), (Proof.signature, True)]
    view = job_view(job, {Proof.photo: 2, Proof.signature: 1}, TODAY, NOON_S, pending=False)
    assert (view.hint, [line.there for line in view.proof]) == ("", ["2 photos", "Signed"])
    noted = replace(job, proof=((Proof.note, Rule.required),), notes=(Note("technician", "valve", NOON_S),))
    assert job_view(noted, {}, TODAY, NOON_S, pending=False).hint == ""


def test_the_wait_at_a_door_is_counted() -> None:
    """In minutes, from the tap."""
    job = replace(MARIA, state=State.arrived, not_home_since_s=NOON_S)
    assert job_view(job, {}, TODAY, NOON_S + 12 * 60 + 59, pending=False).waiting.endswith("12 min")
    assert job_view(replace(job, not_home_since_s=None), {}, TODAY, NOON_S, pending=False).waiting == ""


def test_only_a_number_can_be_called() -> None:
    """An order to the network in its place, or nothing, cannot."""
    for phone, can in (("+351 220 1", True), ("*#06#", False), (None, False)):
        view = job_view(replace(MARIA, phone=phone), {}, TODAY, NOON_S, pending=False)
        assert (view.can_call, view.can_message) == (can, can)


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_every_name_has_words(language: str) -> None:
    """States, taps, reasons, news, refusals: none is forgotten, and no placeholder is left, in any language."""
    words.use(language)
    job = replace(MARIA, promised=(NOON_S, NOON_S + 3600), notes=(Note("customer", "no bell", NOON_S),))
    taps = tuple(Tap(NOON_S, kind, "m") for kind in TapKind)
    told = [
        *(said.tiding(Tiding(news, job, taps=taps)) for news in News),
        *(said.dead(DeadTap(1, Tap(NOON_S, TapKind.done, "m"), verdict), [job]) for verdict in ("not_now", "new one")),
        *(said.action(kind).label for kind in TapKind),
        *(refusal(Refused(why, "")) for why in Why),
        *(part for parts in notice() for part in parts),
    ]
    assert all(told)
    assert not [text for text in told if "%(" in text]


def test_what_waits_is_said_in_one_line() -> None:
    """Sent, being sent, waiting for a connection, a full phone, a phone that was removed: in the order of weight."""
    nothing, some = Facts(0, 5, 0, 0), Facts(2, 0, 1, 0)
    online, away = Status(connection=Connection.websocket), Status(connection=Connection.away)
    told = [
        link_line(status, facts)
        for status, facts in (
            (online, nothing),
            (online, some),
            (away, nothing),
            (away, some),
            (replace(away, storage_trouble="full"), some),
            (replace(away, paired=False), some),
        )
    ]
    assert [line.mood for line in told] == [Mood.good, Mood.calm, Mood.warn, Mood.warn, Mood.bad, Mood.bad]
    assert told[1].text == "3 steps are being sent."
    assert "3 steps wait" in told[3].text


def test_a_silent_gps_is_said_on_shift_only() -> None:
    """Off shift it is off, and that is well."""
    lost = Status(gps_trouble="no daemon")
    assert gps_line(lost, tracked=False) is None
    line = gps_line(lost, tracked=True)
    assert line is not None
    assert line.mood is Mood.bad


def test_diagnostics_name_what_is_wrong() -> None:
    """An old position, a clock that is off, permissions that are missing, and how much waits."""
    status = Status(
        connection=Connection.away,
        acknowledged_s=900.0,
        skew=Skew(-125.0, 0.2),
        seen=Seen(400.0, 41.0, -8.0, 12.0),
        uplink_trouble="no connection",
    )
    session = Session("https://doorstep.example", "d", "t", "k", "Ana")
    copy = Progress(Standing.fetching, 2_000_000, 8_000_000)
    device = Device("0.1.0", location_allowed=False, notices_allowed=True, battery_saved=True)
    rows = diagnostics_view(status, Facts(1, 20, 3, 0), session, device, copy, 1_000.0, tracked=True).rows
    told = {row.label: (row.value, row.mood) for row in rows}
    assert told == {
        "Office": ("doorstep.example", Mood.calm),
        "Connection": ("none", Mood.warn),
        "Last answer": ("1 min ago", Mood.calm),
        "Visits fetched": ("not yet", Mood.calm),
        "Waiting to be sent": ("steps: 1, pictures: 3, positions: 20", Mood.calm),
        "Location permission": ("missing", Mood.bad),
        "GPS": ("on", Mood.good),
        "Position": ("10 min ago, accurate to 12 m", Mood.warn),
        "Map on this phone": ("2.0 MB of 8.0 MB", Mood.calm),
        "This phone's clock": ("2 min fast", Mood.warn),
        "Notifications": ("allowed", Mood.good),
        "Battery saving": ("may stop this app: switch that off for Doorstep", Mood.warn),
        "Version": ("0.1.0", Mood.calm),
    }
    off = diagnostics_view(status, Facts(0, 0, 0, 0), session, device, copy, 1_000.0, tracked=False).rows
    assert ("GPS", "off: you are not on shift") in [(row.label, row.value) for row in off]


def test_whoever_pairs_is_asked_about_the_host() -> None:
    """And warned where others could listen."""
    safe = question(read_invitation("https://doorstep.example/#ABCD2345"))
    assert "doorstep.example" in safe.title
    assert not safe.warning
    assert question(read_invitation("http://192.168.1.7:8020", "ABCD2345")).warning


def test_unpairing_says_what_would_be_lost() -> None:
    """How many things, or that nothing is."""
    assert unpair_question(Facts(0, 0, 0, 0)).startswith("This phone then belongs to nobody. Everything is sent.")
    assert unpair_question(Facts(1, 4, 0, 0)).startswith("5 things are not sent yet")


def test_a_phone_says_whose_it_is() -> None:
    """As a list is written in the language; a service may tell less."""
    session = Session("https://doorstep.example", "d", "t", "k", "سليم", "سباكة النهر")
    assert said.technician(replace(session, firm="")) == "سليم"
    words.use("ar")
    assert said.technician(session) == "سليم، سباكة النهر"


def test_only_what_something_speaks_against_is_asked() -> None:
    """Off shift, on a break, out of order, a shift that ends too early; everything else counts at once."""
    driving = (replace(JOBS[0], state=State.en_route), *JOBS[1:])
    asked = [
        doubts(TapKind.en_route, JOBS[0], JOBS, Shift()),
        doubts(TapKind.en_route, JOBS[0], JOBS, Shift(NOON_S, NOON_S)),
        doubts(TapKind.en_route, JOBS[1], JOBS, ON),
        doubts(TapKind.shift_end, None, driving, ON),
        doubts(TapKind.en_route, JOBS[0], JOBS, ON),
        doubts(TapKind.arrived, driving[0], driving, Shift()),
        doubts(TapKind.shift_end, None, JOBS, ON),
    ]
    assert [ask and ask.doubt for ask in asked] == [
        Doubt.off_shift,
        Doubt.on_break,
        Doubt.out_of_order,
        Doubt.under_way,
        None,
        None,
        None,
    ]


def test_a_tap_that_does_not_count_says_why() -> None:
    """Missing proof by name, a full phone, and what changed meanwhile."""
    told = [ask.refusal(error) for error in (ProofMissing([Proof.photo]), NoRoom(), NotNow())]
    assert told[0] == "Still missing: photo"
    assert len(set(told)) == 3
