"""What somebody looks at: a day, perhaps one job, perhaps a search."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from starlette.datastructures import QueryParams

from tracking_server.store.board import Board, Day, JobLine

LONGEST_SEARCH = 100
FARTHEST = timedelta(days=3_660)  # a day typed wrong is no day of ours


@dataclass(frozen=True, slots=True)
class Looking:
    """From the page's address. `wanted` and `today` are the firm's dates, in its `time_zone`."""

    wanted: date
    today: date
    day: Day
    time_zone: str
    job_id: UUID | None = None
    search: str = ""

    def address(self, **other: str | None) -> str:
        """The board's address with something changed; what is None or empty is left out."""
        facts = {
            "day": None if self.wanted == self.today else self.wanted.isoformat(),
            "job": None if self.job_id is None else str(self.job_id),
            "q": self.search,
            **other,
        }
        query = urlencode({name: value for name, value in facts.items() if value})
        return f"/board?{query}" if query else "/board"

    def finds(self, line: JobLine, technician: str) -> bool:
        """Whether a job is what is searched for."""
        text = " ".join((line.title, line.customer, line.address, str(line.number or ""), technician)).casefold()
        return all(word in text for word in self.search.casefold().split())


def looking_at(asked: QueryParams, time_zone: str, now_s: float) -> Looking:
    """What an address asks for; what makes no sense is as if it were not there."""
    zone = ZoneInfo(time_zone)
    today = datetime.fromtimestamp(now_s, zone).date()
    try:
        wanted = date.fromisoformat(asked.get("day", ""))
    except ValueError:
        wanted = today
    if abs(wanted - today) > FARTHEST:
        wanted = today
    try:
        job_id = UUID(asked.get("job", ""))
    except ValueError:
        job_id = None
    day, search = day_of(wanted, zone, wanted == today), asked.get("q", "")[:LONGEST_SEARCH]
    return Looking(wanted, today, day, time_zone, job_id, search)


def day_of(wanted: date, zone: ZoneInfo, is_today: bool) -> Day:
    """From midnight to midnight there, however long that is."""
    begins = datetime.combine(wanted, time(), zone)
    ends = datetime.combine(wanted + timedelta(days=1), time(), zone)
    return Day(begins.timestamp(), ends.timestamp(), is_today)


def technician_of(board: Board, line: JobLine) -> str:
    """Who a job is given to, empty when nobody."""
    found = board.technician(line.job.technician_id)
    return found.where.name if found is not None else ""
