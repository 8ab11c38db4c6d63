"""What the board makes of jobs and technicians."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from uuid import UUID

import pytest
from starlette.datastructures import QueryParams

from tracking_server.accounts import passwords
from tracking_server.accounts.gate import environment
from tracking_server.dispatch.board.actions import Wrong, place_of, window
from tracking_server.dispatch.board.looking import looking_at
from tracking_server.dispatch.board.render import HERE, Painter, Rows
from tracking_server.domain.board import (
    Doing,
    Group,
    Trouble,
    Whereabouts,
    doing,
    group_of,
    late_by_s,
    nearest,
    needs_somebody,
    troubles,
    urgency,
)
from tracking_server.domain.eta import Window
from tracking_server.domain.events import Cause, EventKind, Obstacle
from tracking_server.domain.geofence import Geofence
from tracking_server.domain.job import Job, State
from tracking_server.domain.message import Channel, MessageKind, Reason, Standing
from tracking_server.domain.note import Author, NoteKind
from tracking_server.domain.role import MAY, Deed, Role, may
from tracking_server.domain.shift import Shift
from tracking_server.store.accounts import Session, Staff
from tracking_server.store.board import Board, JobLine

NOW_S = 1_800_000_000.0
DOOR = Geofence(-8.61, 41.15)
JOB = Job(UUID(int=1), State.assigned, 1, DOOR, promise=1, promised=(NOW_S + 3600, NOW_S + 7200))
ANA = Whereabouts(UUID(int=9), "Ana", Shift(NOW_S - 9000), NOW_S - 10, -8.61, 41.16, 80.0, 1)


def test_a_job_is_late_by_the_clock_and_by_the_estimate() -> None:
    """Only while somebody waits for it, and only when a window was promised."""
    assert late_by_s(JOB, NOW_S) is None
    assert late_by_s(JOB, NOW_S + 7260) == 60
    soon = Window(NOW_S + 7000, NOW_S + 7500, NOW_S + 8000, 0.8)
    assert late_by_s(replace(JOB, state=State.en_route, eta=soon), NOW_S) == 300
    assert late_by_s(replace(JOB, state=State.arrived), NOW_S + 9000) is None
    assert late_by_s(replace(JOB, promised=None), NOW_S + 9000) is None


def test_the_most_urgent_comes_first() -> None:
    """The latest of the late, then what nobody has, what is under way, what is planned by its hour, what is over."""
    very_late = replace(JOB, id=UUID(int=2), promised=(NOW_S - 9000, NOW_S - 5000))
    late = replace(JOB, id=UUID(int=3), promised=(NOW_S - 900, NOW_S - 60))
    unassigned = replace(JOB, id=UUID(int=4), state=State.scheduled)
    draft = replace(JOB, id=UUID(int=5), state=State.draft, promised=None)
    driving = replace(JOB, id=UUID(int=6), state=State.en_route)
    done = replace(JOB, id=UUID(int=7), state=State.completed, ended_at_s=NOW_S - 5)
    wanted = [very_late, late, unassigned, draft, driving, JOB, done]
    mixed = [wanted[n] for n in (6, 2, 0, 5, 3, 1, 4)]
    assert sorted(mixed, key=lambda job: urgency(job, NOW_S)) == wanted
    groups = [Group.late] * 2 + [Group.unassigned] * 2 + [Group.under_way, Group.waiting, Group.ended]
    assert [group_of(job, NOW_S) for job in wanted] == groups
    assert [needs_somebody(job, NOW_S) for job in wanted] == [False, False, True, False, False, False, False]
    assert not needs_somebody(unassigned, NOW_S - 86_400)


def test_the_nearest_are_those_whose_fix_is_fresh() -> None:
    """Metres first; an old fix, one from before the shift's end and none at all are no distance."""
    near = replace(ANA, id=UUID(int=11), name="Near", lat=41.151)
    resting = replace(near, id=UUID(int=12), name="Resting", lat=41.152)
    resting = replace(resting, shift=Shift(NOW_S - 9000, None, ((NOW_S - 60, None),)))
    old = replace(near, id=UUID(int=13), name="Old", position_s=NOW_S - 181)
    off = replace(near, id=UUID(int=14), name="Off", shift=None)
    unknown = replace(near, id=UUID(int=15), name="Unknown", position_s=None, lon=None, lat=None)
    found = nearest([off, unknown, old, ANA, resting, near], {}, DOOR, NOW_S)
    assert [choice.name for choice in found] == ["Near", "Resting", "Ana", "Old", "Unknown", "Off"]
    metres = [None if choice.away_m is None else round(choice.away_m) for choice in found]
    assert metres == [111, 222, 1111, None, None, None]
    assert found[1].doing is Doing.on_break


def test_what_a_technician_is_at() -> None:
    """A break before everything, a door before a drive, and a free one has a next stop."""
    shift = Shift(NOW_S - 100)
    at, driving = replace(JOB, state=State.arrived), replace(JOB, id=UUID(int=2), state=State.en_route)
    assert doing(None, [at], NOW_S) == (Doing.off_shift, None)
    assert doing(replace(shift, breaks=((NOW_S - 5, None),)), [at], NOW_S) == (Doing.on_break, None)
    assert doing(shift, [driving, at], NOW_S) == (Doing.at, at)
    assert doing(shift, [JOB, driving], NOW_S) == (Doing.driving, driving)
    assert doing(shift, [JOB], NOW_S) == (Doing.free, JOB)


def test_what_is_wrong_with_a_phone() -> None:
    """Nothing off shift; a new shift gets five minutes; several things at once."""
    assert troubles(ANA, NOW_S) == []
    assert troubles(replace(ANA, phones=0), NOW_S) == [Trouble.no_phone]
    assert troubles(replace(ANA, position_s=NOW_S - 301, battery_pct=5.0), NOW_S) == [Trouble.silent, Trouble.battery]
    assert troubles(replace(ANA, position_s=NOW_S - 301, shift=None), NOW_S) == []
    fresh = replace(ANA, shift=Shift(NOW_S - 299), position_s=NOW_S - 9000)
    assert troubles(fresh, NOW_S) == []
    assert troubles(fresh, NOW_S + 2) == [Trouble.never_heard]


def test_each_role_may_what_the_next_may() -> None:
    """An owner everything, a dispatcher all but people, a viewer nothing but look."""
    assert MAY[Role.owner] > MAY[Role.dispatcher] > MAY[Role.viewer]
    assert may(Role.viewer, Deed.look)
    assert not may(Role.viewer, Deed.dispatch)
    assert not may(Role.dispatcher, Deed.manage)


def test_a_day_is_as_long_as_it_is_there() -> None:
    """Of 23 and 25 hours when the clocks change; midnight is the firm's."""
    hours = []
    for day in ("2026-03-29", "2026-10-25", "2026-11-22"):
        looking = looking_at(QueryParams({"day": day}), "Europe/Lisbon", NOW_S)
        hours.append((looking.day.ends_s - looking.day.begins_s) / 3600)
    assert hours == [23, 25, 24]
    late = looking_at(QueryParams({}), "Asia/Bangkok", 1_799_999_940.0)
    assert (late.wanted, late.day.is_today) == (date(2027, 1, 15), True)
    assert late.day.begins_s == 1_799_946_000.0


OWNER = Staff(UUID(int=1), UUID(int=2), "a@x.example", "Ana", Role.owner, "en", disabled=False)


def painted(board: Board, now_s: float = NOW_S) -> Mapping[str, Rows]:
    """Its rows, as an owner sees them today."""
    looking = looking_at(QueryParams(""), board.time_zone, now_s)
    return asyncio.run(Painter(Session(UUID(int=3), OWNER, now_s, now_s), looking, "en", now_s).lists(board, None))


def test_the_rows_say_of_which_day_they_are() -> None:
    """A page left open over midnight gets the new day's name and the days around it with its rows."""
    board = Board(UUID(int=1), "Ribeira", "Asia/Bangkok", (), (), (), (), ())
    said = []
    for now_s in (NOW_S, NOW_S + 86_400):
        looking = looking_at(QueryParams(""), "Asia/Bangkok", now_s)
        painter = Painter(Session(UUID(int=3), OWNER, now_s, now_s), looking, "en", now_s)
        lists = asyncio.run(painter.lists(board, None))
        page = asyncio.run(painter.page(board, None, {"data-leaflet-css": "/leaflet.css"}))
        for name in ("day", "days"):
            ((row, html),) = lists[name]
            assert re.search(rf'id="{name}"[^>]* data-list[^>]*><div id="{row}" class="row">', page)
            assert html in page
        said.append("".join(html for name in ("day", "days") for _, html in lists[name]))
    assert all(text in said[0] for text in ("Fri, Jan 15", 'value="2027-01-15"', "day=2027-01-14", "day=2027-01-16"))
    assert all(text in said[1] for text in ("Sat, Jan 16", 'value="2027-01-16"', "day=2027-01-15", "day=2027-01-17"))


async def test_others_have_their_turn_between_the_rows_of_a_big_board() -> None:
    """A phone's acknowledgement waits for ten rows, not for two thousand."""
    jobs = tuple(
        JobLine(replace(JOB, id=UUID(int=n)), n, "Tap", "Rua 1", "Europe/Lisbon", 3600, "Maria", UUID(int=1), None)
        for n in range(200)
    )
    board = Board(UUID(int=1), "Ribeira", "Europe/Lisbon", (), jobs, (), (), ())
    looking = looking_at(QueryParams(""), board.time_zone, NOW_S)
    turns = 0

    async def acknowledge() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(acknowledge())
    lists = await Painter(Session(UUID(int=3), OWNER, NOW_S, NOW_S), looking, "en", NOW_S).lists(board, None)
    others.cancel()
    assert len(lists["jobs"]) == 201
    assert turns >= 20


@pytest.mark.parametrize(
    ("macro", "values"),
    [
        ("state_name", State),
        ("group_name", Group),
        ("doing_name", Doing),
        ("trouble_name", Trouble),
        ("event_name", EventKind),
        ("cause_name", Cause),
        ("message_name", MessageKind),
        ("channel_name", Channel),
        ("standing_name", Standing),
        ("reason_name", [*Reason, "gave_up: receiver_503", "went another way: timeout"]),
        ("note_name", NoteKind),
        ("author_name", Author),
        ("obstacle_name", Obstacle),
    ],
)
def test_everything_has_a_word(macro: str, values: Iterable[str]) -> None:
    """Nothing that the service can say is shown to staff as it is kept."""
    name = getattr(environment("th", HERE).get_template("said_in_words.html").module, macro)
    for value in values:
        assert re.search("[\u0e01-\u0e5b]|SMS", name(value)), value


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Europe/Lisbon", "10:00 - 11:00 PM"),
        ("Europe/London", "10:00 - 11:00 PM"),
        ("Atlantic/Azores", "9:00 - 10:00 PM GMT-01:00"),
        ("Asia/Bangkok", "Sat, Jan 16 5:00 - 6:00 AM GMT+07:00"),
        ("Asia/Karachi", "Sat, Jan 16 3:00 - 4:00 AM GMT+05:00"),
        ("Europe/Berlin", "11:00 PM - Sat, Jan 16 12:00 AM GMT+01:00"),
    ],
)
def test_a_time_elsewhere_says_so(zone: str, said: str) -> None:
    """A job's times are those of its door; where clocks differ from the firm's, zone and day are said with them."""
    ten_pm_s = NOW_S + 14 * 3600
    job = replace(JOB, promised=(ten_pm_s, ten_pm_s + 3600))
    line = JobLine(job, 1, "Tap", "", zone, 3600, "Maria", UUID(int=1), None)
    html = painted(Board(UUID(int=1), "Ribeira", "Europe/Lisbon", (), (line,), (), (), ()))["jobs"][1][1]
    shown = re.findall(r'<span class="when"><bdi>(.*?)</bdi>', html)
    assert re.sub(r"\s", " ", shown[0]).replace("\N{EN DASH}", "-") == said


@pytest.mark.parametrize(
    ("lat", "lon", "place"),
    [
        ("41.1496", "-8.6109", (-8.6109, 41.1496)),
        ("41,1496", " -8,6109 ", (-8.6109, 41.1496)),
        ("٤١٫١٤٩٦", "−٨٫٦١٠٩", (-8.6109, 41.1496)),  # noqa: RUF001 (as typed in Cairo)
        ("91", "0", None),
        ("0", "181", None),
        ("NaN", "1", None),
        ("inf", "1", None),
        ("1_0", "1", None),
        ("41.1", "", None),
        ("1,2,3", "1", None),
        ("1e1", "1", None),
    ],
)
def test_a_place_is_read_as_people_type_it(lat: str, lon: str, place: tuple[float, float] | None) -> None:
    """With the decimal sign and the digits of their country; what is no point on earth is none."""
    assert place_of(lat, lon) == place


@pytest.mark.parametrize("time_zone", ["Europe/Lisbon", "Asia/Bangkok"])
def test_a_window_is_typed_in_the_firm_s_time(time_zone: str) -> None:
    """Both ends or none; the second after the first."""
    found = window("2026-07-01T14:00", "2026-07-01T16:00", time_zone)
    assert found is not None
    hour = {"Europe/Lisbon": 13, "Asia/Bangkok": 7}[time_zone]
    assert (found[0] % 86_400 / 3600, found[1] - found[0]) == (hour, 7200)
    assert window("", "", time_zone) is None
    for begins, ends in (("2026-07-01T14:00", ""), ("x", "y"), ("2026-07-01T14:00", "2026-07-01T14:00")):
        with pytest.raises(Wrong):
            window(begins, ends, time_zone)


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("three plain words", None),
        ("๑๒๓๔๕๖๗๘๙๐", None),
        ("short", "short"),
        ("x" * 201, "long"),
        ("Password123", "common"),
        ("abababababab", "common"),
        ("joana@ribeira.example", "common"),
    ],
)
def test_a_password_is_long_and_not_everybody_s(password: str, fault: str | None) -> None:
    """No rule about kinds of characters; one's own address is a bad one."""
    assert passwords.fault(password, "joana@ribeira.example") == fault
