"""Recorded drives, read from files and driven again: CSV of trips, GPX 1.0 and 1.1, NMEA 0183.

A line that cannot be read raises a ValueError that names the file and the line, and says what to do. Of several fixes
of one moment the first is taken.
"""

from __future__ import annotations

import asyncio
import csv
import json
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from xml.parsers import expat

from tech_app.core.clock import Clock
from tech_app.core.fix import Fix
from tech_app.core.gps.base import Request

CSV_COLUMNS = ("trip_id", "start_epoch", "interval_s", "arrive_idx", "polyline_lonlat")
ARRIVED_WITHIN_M = 60.0  # a recording that says no arrival: from here on all fixes are this near to the last one
EARTH_RADIUS_M = 6_371_008.8
KNOT_MPS = 0.514444
HALF_A_DAY_S = 43_200.0
LONGEST_CSV_FIELD = 10_000_000  # a day of fixes, one a second, is 2 MB


@dataclass(frozen=True, slots=True)
class RecordedFix:
    """One fix. Time is UTC seconds since 1970; None is what the recording does not say."""

    time_s: float
    lon: float
    lat: float
    altitude_m: float | None = None
    speed_mps: float | None = None
    course_deg: float | None = None


@dataclass(frozen=True, slots=True)
class Drive:
    """A drive to one place. The arrival is at `fixes[arrive_idx]`."""

    name: str
    fixes: tuple[RecordedFix, ...]
    arrive_idx: int


class ReplaySource:
    """A recorded drive as a source: it begins when it is first asked for, and ends with its last fix."""

    def __init__(self, drive: Drive, clock: Clock) -> None:
        self.trouble: str | None = None
        self._drive = drive
        self._clock = clock
        self._request: Request | None = None
        self._asked = asyncio.Event()

    def ask(self, request: Request | None) -> None:
        """While nobody asks, the drive goes on unseen."""
        self._request = request
        if request is not None:
            self._asked.set()

    async def fixes(self) -> AsyncIterator[Fix]:
        await self._asked.wait()
        begun_s = self._clock.since_boot() - self._drive.fixes[0].time_s
        last_s = -math.inf
        for recorded in self._drive.fixes:
            if recorded.time_s + begun_s > self._clock.since_boot():
                await self._clock.sleep(recorded.time_s + begun_s - self._clock.since_boot())
            if self._request is None or recorded.time_s - last_s < self._request.interval_s:
                continue
            last_s = recorded.time_s
            yield Fix(
                self._clock.now(),
                recorded.lat,
                recorded.lon,
                speed_mps=recorded.speed_mps,
                course_deg=recorded.course_deg,
                altitude_m=recorded.altitude_m,
            )
        self.trouble = "the recording is over"


def read_drives(path: Path) -> Iterator[Drive]:
    """The drives of a file, in its order. What the file is shows in how it begins, or else in the end of its name."""
    with path.open("rb") as file:
        head = file.read(1000).removeprefix(b"\xef\xbb\xbf").lstrip()
    suffix = path.suffix.lower()
    if head.startswith(b"<") or suffix == ".gpx":
        return _read_gpx(path)
    if head.startswith(b"$") or suffix == ".nmea":
        return _read_nmea(path)
    if b"polyline_lonlat" in head.partition(b"\n")[0] or suffix == ".csv":
        return _read_csv(path)
    raise ValueError(f"{path} is no recording that is known; give a GPX file, an NMEA log, or a CSV of trips")


def _bad(path: Path, line: int, what: str, advice: str) -> ValueError:
    return ValueError(f"{path}, line {line}: {what}; {advice}")


def _drive(path: Path, line: int, name: str, fixes: Sequence[RecordedFix], arrive_idx: int | None = None) -> Drive:
    if len(fixes) < 2:
        raise _bad(path, line, f"{name} has fewer than two fixes", "remove it")
    return Drive(name, tuple(fixes), _arrive_idx(fixes) if arrive_idx is None else arrive_idx)


def _add(path: Path, line: int, fixes: list[RecordedFix], fix: RecordedFix) -> None:
    if not (abs(fix.lat) <= 90 and abs(fix.lon) <= 180):
        raise _bad(path, line, f"there is no place {fix.lat}, {fix.lon}", "remove this fix")
    if fixes and fix.time_s < fixes[-1].time_s:
        raise _bad(path, line, "this fix is earlier than the one before", "put the fixes in the order of their times")
    if not fixes or fix.time_s > fixes[-1].time_s:
        fixes.append(fix)


def _arrive_idx(fixes: Sequence[RecordedFix]) -> int:
    """The first fix from which on all are near the last one."""
    index = len(fixes) - 1
    while index > 0 and _distance_m(fixes[index - 1], fixes[-1]) <= ARRIVED_WITHIN_M:
        index -= 1
    return index


def _distance_m(a: RecordedFix, b: RecordedFix) -> float:
    """Great-circle distance by the haversine formula."""
    lat_a, lat_b = math.radians(a.lat), math.radians(b.lat)
    north = math.sin((lat_b - lat_a) / 2) ** 2
    east = math.cos(lat_a) * math.cos(lat_b) * math.sin(math.radians(b.lon - a.lon) / 2) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(north + east))


# CSV of trips: one a line, the fixes at equal intervals.


def _read_csv(path: Path) -> Iterator[Drive]:
    csv.field_size_limit(LONGEST_CSV_FIELD)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        rows = csv.DictReader(lines, strict=True)
        missing = [name for name in CSV_COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise _bad(path, 1, f"no column {', '.join(missing)}", f"the columns are {', '.join(CSV_COLUMNS)}")
        try:
            for row in rows:
                yield _trip(path, rows.line_num, row)
        except csv.Error as error:
            raise _bad(path, rows.line_num, f"this is not CSV ({error})", "repair or remove the line") from error


def _trip(path: Path, line: int, row: dict[str, str | None]) -> Drive:
    try:
        name, start_s, interval_s, arrive_idx = row["trip_id"], *(float(row[n] or "") for n in CSV_COLUMNS[1:4])
        places = [(float(lon), float(lat)) for lon, lat in json.loads(row["polyline_lonlat"] or "")]
    except (ValueError, TypeError) as error:
        raise _bad(path, line, f"this trip cannot be read ({error})", "repair or remove the line") from error
    if not (interval_s > 0 and math.isfinite(start_s + interval_s) and arrive_idx in range(len(places))):
        raise _bad(path, line, "interval_s or arrive_idx cannot be right", "repair or remove the line")
    fixes: list[RecordedFix] = []
    for k, (lon, lat) in enumerate(places):
        _add(path, line, fixes, RecordedFix(start_s + k * interval_s, lon, lat))
    return _drive(path, line, f"trip {name}", fixes, int(arrive_idx))


# GPX: every track is a drive, whatever the number of its segments.


def _read_gpx(path: Path) -> Iterator[Drive]:
    tracks = _GpxTracks(path)
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, attributes: tracks.start(name, attributes, parser.CurrentLineNumber)
    parser.EndElementHandler = tracks.end
    parser.CharacterDataHandler = tracks.text
    parser.StartDoctypeDeclHandler = lambda *_: tracks.refuse_doctype(parser.CurrentLineNumber)
    try:
        with path.open("rb") as file:
            parser.ParseFile(file)
    except expat.ExpatError as error:
        what = f"this is not XML ({expat.ErrorString(error.code)})"
        raise _bad(path, error.lineno, what, "export the recording again") from error
    if not tracks.drives:
        raise ValueError(f"{path} has no track; export the recording as a track, with times")
    yield from tracks.drives


class _GpxTracks:
    """Collects the tracks of a GPX file while it is parsed."""

    def __init__(self, path: Path) -> None:
        self.drives: list[Drive] = []
        self._path = path
        self._elements: list[str] = []
        self._text = ""
        self._name = ""
        self._fixes: list[RecordedFix] = []
        self._line = 0
        self._point: dict[str, str] | None = None

    def start(self, name: str, attributes: dict[str, str], line: int) -> None:
        name = name.rpartition(":")[2]
        if not self._elements and name != "gpx":
            raise _bad(self._path, line, f"this is {name}, not GPX", "export the recording as GPX")
        self._elements.append(name)
        self._text = ""
        if name == "trk":
            self._name, self._fixes = "", []
        elif name == "trkpt":
            self._point, self._line = dict(attributes), line

    def text(self, data: str) -> None:
        self._text += data

    def end(self, name: str) -> None:
        name = self._elements.pop()
        if name == "trkpt" and self._point is not None:
            _add(self._path, self._line, self._fixes, self._fix(self._point))
            self._point = None
        elif name == "trk" and self._fixes:
            title = self._name or f"track {len(self.drives) + 1}"
            self.drives.append(_drive(self._path, self._line, title, self._fixes))
        elif self._point is not None:
            self._point[name] = self._text.strip()
        elif name == "name" and self._elements[-1:] == ["trk"]:
            self._name = self._text.strip()

    def refuse_doctype(self, line: int) -> None:
        raise _bad(self._path, line, "GPX has no DOCTYPE", "remove it")

    def _fix(self, point: dict[str, str]) -> RecordedFix:
        if not point.get("time"):
            raise _bad(self._path, self._line, "this point has no time", "export the recording with times")
        try:
            time = datetime.fromisoformat(point["time"])
            time = time if time.tzinfo else time.replace(tzinfo=UTC)
            lon, lat = float(point["lon"]), float(point["lat"])
            known = [float(point[name]) if point.get(name) else None for name in ("ele", "speed", "course")]
        except (ValueError, KeyError) as error:
            what = f"this point cannot be read ({error})"
            raise _bad(self._path, self._line, what, "repair or remove the point") from error
        return RecordedFix(time.timestamp(), lon, lat, *known)


# NMEA: the sentences of one moment together make a fix. RMC tells the date, speed and course, GGA the altitude.


@dataclass(slots=True)
class _Moment:
    """What the sentences of one time of day said."""

    line: int
    time_s: float
    day: date | None = None
    valid: bool = True
    known: dict[str, float] = field(default_factory=dict)


def _read_nmea(path: Path) -> Iterator[Drive]:
    fixes: list[RecordedFix] = []
    last: _Moment | None = None
    line = 1
    for moment in _moments(path):
        line = moment.line
        if moment.day is None and last is not None and last.day is not None:
            past_midnight = moment.time_s < last.time_s - HALF_A_DAY_S
            moment.day = last.day + timedelta(days=1) if past_midnight else last.day
        if moment.valid and moment.day is not None and "lon" in moment.known:
            midnight = datetime(moment.day.year, moment.day.month, moment.day.day, tzinfo=UTC)
            _add(path, line, fixes, RecordedFix(midnight.timestamp() + moment.time_s, **moment.known))
        last = moment
    if not fixes:
        raise ValueError(f"{path} has no fix with a date; record RMC sentences too")
    yield _drive(path, line, path.stem, fixes)


def _moments(path: Path) -> Iterator[_Moment]:
    moment: _Moment | None = None
    with path.open(encoding="ascii", errors="replace") as lines:
        for number, text in enumerate(lines, 1):
            words = _sentence(path, number, text.strip())
            if not words or words[0][-3:] not in ("RMC", "GGA") or not words[1:2] or not words[1]:
                continue
            try:
                time_s = _time_of_day_s(words[1])
                if moment is None or time_s != moment.time_s:
                    if moment is not None:
                        yield moment
                    moment = _Moment(number, time_s)
                _note(moment, words)
            except (ValueError, IndexError) as error:
                what = f"this sentence cannot be read ({error})"
                raise _bad(path, number, what, "remove the line") from error
    if moment is not None:
        yield moment


def _sentence(path: Path, number: int, text: str) -> list[str]:
    """The words of a sentence; none of an empty line, a comment, or a sentence of another system."""
    if not text or text[0] in "#!":
        return []
    if text[0] != "$":
        raise _bad(path, number, "this is no NMEA sentence", "remove the line")
    words, star, told = text[1:].partition("*")
    checksum = 0
    for character in words:
        checksum ^= ord(character)
    if not star or told.upper() != f"{checksum:02X}":
        what = f"the checksum is {told or 'missing'}, not {checksum:02X}"
        raise _bad(path, number, what, "the line was damaged: remove it")
    return words.split(",")


def _note(moment: _Moment, words: Sequence[str]) -> None:
    if words[0].endswith("RMC"):
        moment.valid &= words[2] == "A"
        _note_place(moment, words[3:7])
        known = {"speed_mps": (words[7], KNOT_MPS), "course_deg": (words[8], 1.0)}
        if words[9]:
            day, month, year = int(words[9][:2]), int(words[9][2:4]), int(words[9][4:6])
            moment.day = date(year + (1900 if year >= 80 else 2000), month, day)
    else:
        moment.valid &= words[6] not in ("", "0")
        _note_place(moment, words[2:6])
        known = {"altitude_m": (words[9], 1.0)}
    moment.known |= {name: float(word) * unit for name, (word, unit) in known.items() if word}


def _note_place(moment: _Moment, words: Sequence[str]) -> None:
    if all(words):
        lat = _degrees(words[0]) * {"N": 1, "S": -1}.get(words[1], math.nan)
        lon = _degrees(words[2]) * {"E": 1, "W": -1}.get(words[3], math.nan)
        moment.known |= {"lat": lat, "lon": lon}


def _degrees(word: str) -> float:
    """Degrees and minutes, written without anything in between: 4112.3456 is 41 degrees 12.3456 minutes."""
    degrees, minutes = divmod(float(word), 100)
    return degrees + minutes / 60


def _time_of_day_s(word: str) -> float:
    return int(word[:2]) * 3600 + int(word[2:4]) * 60 + float(word[4:])
