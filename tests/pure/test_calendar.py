"""A visit as a calendar file."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from tracking_server.domain.geofence import Geofence
from tracking_server.domain.job import Job, State
from tracking_server.domain.page_state import PageState, Showing
from tracking_server.push.calendar import calendar
from tracking_server.store.views import Details, Firm, JobView

NOW_S = 1_800_000_000.0  # 2027-01-15 08:00 UTC
VIEW = JobView(
    organisation_id=UUID(int=2),
    firm=Firm("Pipes; Taps, \\ and Co", "+351 220"),
    job=Job(UUID(int=1), State.scheduled, 5, Geofence(0.0, 0.0), promise=2),
    details=Details("ซ่อมเครื่องทำน้ำอุ่น" * 4, number=1042, preparation="Line one\r\nBEGIN:VALARM"),
    time_zone="Europe/Lisbon",
    broken_promise=None,
    technician=None,
    technician_version=1,
    stops=(),
    shift=None,
    position=None,
)
PAGE = PageState(Showing.scheduled, window=(NOW_S + 3600, NOW_S + 7200))


def test_a_calendar_file_is_as_the_standard_has_it() -> None:
    """Times in UTC, lines of 75 octets that unfold to whole characters, and nobody's text begins a line."""
    text = calendar(VIEW, PAGE, "th", NOW_S)
    assert text is not None
    lines = text.split("\r\n")
    assert lines[-1] == ""
    assert all(len(line.encode()) <= 75 for line in lines)
    whole = text.replace("\r\n ", "").split("\r\n")
    assert "DTSTART:20270115T090000Z" in whole
    assert "DTEND:20270115T100000Z" in whole
    assert "SEQUENCE:2" in whole
    assert "SUMMARY;LANGUAGE=th:Pipes\\; Taps\\, \\\\ and Co: " + "ซ่อมเครื่องทำน้ำอุ่น" * 4 + " #1042" in whole
    assert any(line.startswith("DESCRIPTION;LANGUAGE=th:Line one\\nBEGIN:VALARM\\n") for line in whole)
    assert "BEGIN:VALARM" not in whole


def test_a_visit_keeps_its_identity_when_it_moves() -> None:
    """A calendar that takes it again moves it; another visit is another."""
    moved = calendar(VIEW, replace(PAGE, window=(NOW_S, NOW_S + 60)), "en", NOW_S + 9)
    other = calendar(replace(VIEW, job=replace(VIEW.job, id=UUID(int=9))), PAGE, "en", NOW_S)
    identities = [
        next(line for line in (text or "").split("\r\n") if line.startswith("UID:"))
        for text in (calendar(VIEW, PAGE, "en", NOW_S), moved, other)
    ]
    assert identities[0] == identities[1] != identities[2]
    assert str(VIEW.job.id.hex) not in identities[0]
    assert calendar(VIEW, PageState(Showing.arrived), "en", NOW_S) is None
