"""The board as HTML: lists of rows, each with a name, so that a page can take a new row in place of an old one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from babel.numbers import format_decimal
from babel.units import format_unit

from tracking_server import words
from tracking_server.accounts.gate import environment, frame
from tracking_server.dispatch.board.looking import Looking, technician_of
from tracking_server.domain.board import (
    Candidate,
    Doing,
    Group,
    Trouble,
    Whereabouts,
    doing,
    group_of,
    late_by_s,
    nearest,
    needs_somebody,
    urgency,
)
from tracking_server.domain.board import troubles as troubles_of
from tracking_server.domain.events import EventKind
from tracking_server.domain.job import TRANSITIONS as ALLOWED
from tracking_server.domain.job import UNDOABLE, WAITED_FOR, Job, State
from tracking_server.domain.note import NoteKind
from tracking_server.store.accounts import Session
from tracking_server.store.board import Board, Detail, EventLine, JobLine, TechnicianLine

HERE = Path(__file__).parent
LATE_STEP_S = 60.0
UNITS = {
    "distance_m": "length-meter",
    "accuracy_m": "length-meter",
    "dwell_s": "duration-second",
    "net_speed_mps": "speed-meter-per-second",
}
URGENT = (NoteKind.cannot_find, NoteKind.not_home)  # somebody stands at a door just now
ROWS_AT_ONCE = 10  # about a millisecond: a board of thousands would keep all phones waiting for their acknowledgements
Row = tuple[str, str]
Rows = list[Row]


class Painter:
    """Makes rows for one person, in their language, of one moment."""

    def __init__(self, session: Session, looking: Looking, language: str, now_s: float) -> None:
        self._session = session
        self._looking = looking
        self._language = language
        self._now_s = now_s
        self._templates = environment(language, HERE)
        self._frame = frame(language, session)

    async def lists(self, board: Board, detail: Detail | None) -> dict[str, Rows]:
        """Every list on the page, by the name of the element that holds it. Others have their turn between the rows."""
        inbox = await _in_turns(self.inbox(board))
        number = len(inbox)
        inbox = inbox or [("no-inbox", self._row("empty", what="inbox"))]
        found = {
            "day": [("day-name", self._day(board))],
            "days": [("days-around", self._days())],
            "jobs": await _in_turns(self.jobs(board)),
            "technicians": await _in_turns(self.technicians(board)),
            "inbox": inbox,
            "counts": [("inbox-count", self._row("count", number=number))],
        }
        if detail is not None:
            found["detail"] = self.detail(board, detail)
        return found

    async def page(self, board: Board, detail: Detail | None, map_attributes: Mapping[str, str]) -> str:
        """The whole board."""
        looking, lists = self._looking, await self.lists(board, detail)
        return self._row(
            "board",
            lists=lists,
            detail=detail,
            missing=detail is None and looking.job_id is not None,
            firm=board.name,
            looking=looking,
            map_attributes=map_attributes,
        )

    def _day(self, board: Board) -> str:
        return words.short_day(self._looking.day.begins_s, board.time_zone, self._language)

    def _days(self) -> str:
        looking, step = self._looking, timedelta(days=1)
        before, after = (
            looking.address(day=day.isoformat(), job=None) for day in (looking.wanted - step, looking.wanted + step)
        )
        return self._row("days", looking=looking, before=before, after=after)

    def jobs(self, board: Board) -> Iterator[Row]:
        """The day's jobs in groups, the most urgent first."""
        now_s = self._now_s
        lines = [line for line in board.jobs if self._looking.finds(line, technician_of(board, line))]
        lines.sort(key=lambda line: urgency(line.job, now_s))
        groups: dict[Group, list[JobLine]] = {group: [] for group in Group}
        for line in lines:
            groups[group_of(line.job, now_s)].append(line)
        for group, own in groups.items():
            if own:
                yield f"group-{group}", self._row("group", group=group, number=len(own))
            for line in own:
                yield f"job-{line.job.id.hex}", self._row("job", **self._job(board, line))
        if not lines:
            yield "no-jobs", self._row("empty", what="search" if self._looking.search else "jobs")

    def technicians(self, board: Board) -> Iterator[Row]:
        """Everybody, those at work first."""
        stops, order = board.stops(), list(Doing)
        does = [doing(line.where.shift, stops.get(line.where.id, []), self._now_s) for line in board.technicians]
        found = sorted(
            zip(board.technicians, does, strict=True), key=lambda one: (order.index(one[1][0]), one[0].where.name)
        )
        for line, (what, job) in found:
            facts = self._technician(board, line, what, job, stops.get(line.where.id, []))
            yield f"technician-{line.where.id.hex}", self._row("technician", **facts)
        if not found:
            yield "no-technicians", self._row("empty", what="technicians")

    def inbox(self, board: Board) -> Iterator[Row]:
        """What waits for somebody: customers' notes first, then visits without a technician, messages that did not get
        through, and phones that are silent."""
        for note in sorted(board.notes, key=lambda note: (note.kind not in URGENT, -note.made_s)):
            facts = {"line": board.line(note.job_id), "ago": self.ago(note.made_s), "looking": self._looking}
            wish = words.short_date(note.wish.get("day", ""), self._language)
            yield f"note-{note.id.hex}", self._row("note", note=note, wish=wish, **facts)
        for line in self._alone(board):
            yield f"alone-{line.job.id.hex}", self._row("alone", **self._job(board, line))
        for message in board.failed:
            facts = {"line": board.line(message.job_id), "ago": self.ago(message.at_s), "looking": self._looking}
            yield f"message-{message.id.hex}", self._row("failed", message=message, **facts)
        for where in self._silent(board):
            seen = None if where.position_s is None else self.ago(where.position_s)
            yield f"silent-{where.id.hex}", self._row("silent", where=where, seen=seen)

    def _alone(self, board: Board) -> list[JobLine]:
        return [line for line in board.jobs if needs_somebody(line.job, self._now_s)]

    def _silent(self, board: Board) -> list[Whereabouts]:
        lost = {Trouble.silent, Trouble.never_heard}
        return [line.where for line in board.technicians if lost & set(troubles_of(line.where, self._now_s))]

    def detail(self, board: Board, detail: Detail) -> Rows:
        """One job: what is known, who can take it, what can be done."""
        job = detail.line.job
        facts = {"detail": detail, "looking": self._looking, **self._job(board, detail.line)}
        choices = nearest((line.where for line in board.technicians), board.stops(), job.geofence, self._now_s)
        kind = EventKind.assigned if job.technician_id is None else EventKind.reassigned
        return [
            ("detail-facts", self._row("facts", **facts)),
            (
                "detail-assign",
                self._row(
                    "assign",
                    **facts,
                    possible=job.state in ALLOWED[kind][0],
                    choices=[self._choice(choice) for choice in choices if choice.id != job.technician_id],
                ),
            ),
            (
                "detail-does",
                self._row(
                    "does",
                    **facts,
                    can_cancel=job.state in ALLOWED[EventKind.cancelled][0],
                    can_undo=job.state in UNDOABLE and job.previous_state is not None,
                ),
            ),
            (
                "detail-story",
                self._row(
                    "story",
                    **facts,
                    time_of=lambda s: self.moment(s, detail.line.time_zone),
                    evidence_of=lambda event: self._evidence(board, event, detail.line.time_zone),
                ),
            ),
        ]

    def _evidence(self, board: Board, event: EventLine, zone: str) -> list[tuple[str, str]]:
        """What an event was told from: names for the template to put into words, and values as people write them."""
        known = {name: value for name, value in event.evidence.items() if value is not None}
        found = [
            (name, format_unit(known[name], unit, "short", locale=self._language))
            for name, unit in UNITS.items()
            if name in known
        ]
        found += [
            (name, format_unit(round(known[name] / seconds), "duration-minute", "short", locale=self._language))
            for name, seconds in (("minutes", 1), ("waited_s", 60))
            if name in known
        ]
        found += [(name, self.moment(known[name], zone)) for name in ("fix_time_s", "likely_s") if name in known]
        if "promised" in known:
            earliest_s, latest_s = known["promised"]
            found.append(("promised", self._span(earliest_s, latest_s, zone)))
        given = next((line for line in board.technicians if str(line.where.id) == known.get("to")), None)
        if given is not None:
            found.append(("to", given.where.name))
        if "fixes" in known:
            found.append(("fixes", format_decimal(len(known["fixes"]), locale=self._language)))
        return found + [(name, str(known[name])) for name in ("reason", "rules") if name in known]

    def ago(self, at_s: float) -> dict[str, Any]:
        """An age in its largest whole unit, for the template to put into words."""
        age_s = max(self._now_s - at_s, 0.0)
        for unit, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
            if age_s >= seconds:
                return {"unit": unit, "number": int(age_s // seconds)}
        return {"unit": "second", "number": int(age_s)}

    def moment(self, at_s: float, time_zone: str) -> str:
        """A time of day there, with its date when it is another day's, and its zone when it is not the firm's."""
        return self._moment(at_s, time_zone) + self._zone_of(at_s, time_zone)

    def _moment(self, at_s: float, time_zone: str) -> str:
        clock = words.clock_time(at_s, time_zone, self._language)
        if words.same_day(at_s, self._now_s, time_zone):
            return clock
        return f"{words.short_day(at_s, time_zone, self._language)} {clock}"

    def _zone_of(self, at_s: float, time_zone: str) -> str:
        if time_zone == self._looking.time_zone:
            return ""
        own, there = (words.zone(at_s, zone, self._language) for zone in (self._looking.time_zone, time_zone))
        return "" if own == there else f" {there}"

    def _job(self, board: Board, line: JobLine) -> dict[str, Any]:
        job, zone = line.job, line.time_zone
        late_s = late_by_s(job, self._now_s)
        return {
            "line": line,
            "job": job,
            "looking": self._looking,
            "group": group_of(job, self._now_s),
            "technician": technician_of(board, line),
            "window": job.promised and self._span(*job.promised, zone),
            "late_min": None if late_s is None else max(int(late_s // LATE_STEP_S), 1),
            "eta": self._span(job.eta.earliest_s, job.eta.latest_s, zone)
            if job.eta is not None and job.state is State.en_route
            else None,
            "times": {
                name: value and self.moment(value, zone)
                for name, value in (
                    ("arrived", job.arrived_at_s),
                    ("started", job.started_at_s),
                    ("ended", job.ended_at_s),
                    ("en_route", job.en_route_at_s),
                    ("not_home", job.not_home_at_s),
                )
            },
            "said_late": job.late_min if job.state in WAITED_FOR else None,
            "selected": self._looking.job_id == job.id,
        }

    def _span(self, earliest_s: float, latest_s: float, zone: str) -> str:
        """Two times there, with their day when it is not the one that is looked at, and their zone as a `moment`."""
        if not words.same_day(earliest_s, latest_s, zone):
            return f"{self._moment(earliest_s, zone)} – {self.moment(latest_s, zone)}"  # noqa: RUF001 (a dash between times)
        times = words.span(earliest_s, latest_s, zone, self._language) + self._zone_of(latest_s, zone)
        shown = words.iso_day(earliest_s, zone) == self._looking.wanted.isoformat()
        return times if shown else f"{words.short_day(earliest_s, zone, self._language)} {times}"

    def _technician(
        self, board: Board, line: TechnicianLine, what: Doing, job: Job | None, stops: list[Job]
    ) -> dict[str, Any]:
        seen_s = line.where.position_s
        return {
            "line": line,
            "doing": what,
            "job": None if job is None else board.line(job.id),
            "looking": self._looking,
            "seen": None if seen_s is None else self.ago(seen_s),
            "troubles": troubles_of(line.where, self._now_s),
            "stops": sum(1 for stop in stops if stop.state is State.assigned),
        }

    def _choice(self, choice: Candidate) -> dict[str, Any]:
        away = None
        if choice.away_m is not None:
            km = choice.away_m >= 1_000
            number = round(choice.away_m / 1_000, 1) if km else round(choice.away_m / 10) * 10
            away = {"unit": "km" if km else "m", "number": format_decimal(number, locale=self._language)}
        ago = None if choice.age_s is None else self.ago(self._now_s - choice.age_s)
        return {"id": choice.id, "name": choice.name, "doing": choice.doing, "away": away, "ago": ago}

    def _row(self, name: str, **facts: Any) -> str:
        return self._templates.get_template(f"{name}.html").render(**self._frame, **facts)


async def _in_turns(rows: Iterator[Row]) -> Rows:
    made = []
    for row in rows:
        made.append(row)
        if len(made) % ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return made
