"""Recorded drives as they are read from files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tech_app.core.gps.replay import Drive, read_drives

NOON_S = datetime(2024, 5, 17, 12, 0, tzinfo=UTC).timestamp()
HEADER = "trip_id,taxi_id,call_type,start_epoch,interval_s,depart_idx,arrive_idx,polyline_lonlat"


def drives(folder: Path, name: str, text: str) -> list[Drive]:
    file = folder / name
    file.write_text(text)
    return list(read_drives(file))


def gpx(points: str, version: str = "1.1") -> str:
    namespace = f'xmlns="http://www.topografix.com/GPX/{version.replace(".", "/")}"'
    return f'<?xml version="1.0"?>\n<gpx version="{version}" {namespace}>\n{points}\n</gpx>\n'


def point(lat: float, time: str, more: str = "") -> str:
    return f'<trkpt lat="{lat}" lon="-8.61"><time>{time}</time>{more}</trkpt>'


def sentence(words: str) -> str:
    checksum = 0
    for character in words:
        checksum ^= ord(character)
    return f"${words}*{checksum:02X}"


def rmc(time: str, lat: str, day: str = "170524", status: str = "A") -> str:
    return sentence(f"GPRMC,{time},{status},{lat},N,00836.6000,W,19.44,087.5,{day},,,A")


def gga(time: str, lat: str, quality: int = 1) -> str:
    return sentence(f"GPGGA,{time},{lat},N,00836.6000,W,{quality},08,0.9,91.5,M,50.0,M,,")


def nmea(lines: Sequence[str]) -> str:
    return "\r\n".join(lines) + "\r\n"


def test_trips_are_read_from_csv(tmp_path: Path) -> None:
    """A trip a line, its fixes at equal intervals, the arrival as the file says."""
    text = f'{HEADER}\n77,1,A,{NOON_S:.0f},15,0,1,"[[-8.61,41.14],[-8.62,41.15],[-8.62,41.15]]"\n'
    (drive,) = drives(tmp_path, "trips.csv", text)
    assert drive.name == "trip 77"
    assert drive.arrive_idx == 1
    assert [fix.time_s - NOON_S for fix in drive.fixes] == [0, 15, 30]
    assert (drive.fixes[1].lon, drive.fixes[1].lat) == (-8.62, 41.15)
    assert drive.fixes[1].speed_mps is None


def test_every_gpx_track_is_a_drive(tmp_path: Path) -> None:
    """Segments are joined, empty tracks are none; the arrival is where the last 60 m begin."""
    first = (
        f"<trk><name>To the door</name><trkseg>{point(41.14, '2024-05-17T12:00:00Z', '<ele>91.5</ele>')}"
        f"{point(41.15, '2024-05-17T14:00:10.500+02:00')}</trkseg>"
        f"<trkseg>{point(41.1503, '2024-05-17T12:00:20')}</trkseg></trk>"
    )
    second = f"<trk><trkseg>{point(41.2, '2024-05-18T12:00:00Z')}\n{point(41.3, '2024-05-18T12:01:00Z')}</trkseg></trk>"
    one, two = drives(tmp_path, "day.gpx", gpx(f"{first}\n<trk><trkseg/></trk>\n{second}"))
    assert (one.name, two.name) == ("To the door", "track 2")
    assert [fix.time_s - NOON_S for fix in one.fixes] == [0, 10.5, 20]
    assert one.fixes[0].altitude_m == 91.5
    assert (one.arrive_idx, two.arrive_idx) == (1, 1)


def test_gpx_1_0_also_tells_speed_and_course(tmp_path: Path) -> None:
    """Version 1.0 has them in the point itself; the name of the file does not matter."""
    moving = point(41.14, "2024-05-17T12:00:00Z", "<course>87.5</course><speed>10</speed>")
    points = f"<trk><trkseg>{moving}{point(41.15, '2024-05-17T12:00:10Z')}</trkseg></trk>"
    (drive,) = drives(tmp_path, "recording", gpx(points, "1.0"))
    assert (drive.fixes[0].speed_mps, drive.fixes[0].course_deg) == (10, 87.5)
    assert (drive.fixes[1].speed_mps, drive.fixes[1].course_deg) == (None, None)


def test_nmea_sentences_of_one_moment_are_one_fix(tmp_path: Path) -> None:
    """RMC and GGA in either order; other sentences and moments without a position are passed over."""
    lines = [
        "# started",
        sentence("GPGSV,1,1,00"),
        gga("115959.00", "4108.4000"),  # no date is known yet
        rmc("120000.00", "4108.4000"),
        gga("120000.00", "4108.4000"),
        rmc("120001.00", "4108.5000", status="V"),
        gga("120001.00", "4108.5000", quality=0),
        gga("120002.00", "4109.0000"),
        rmc("120002.00", "4109.0000"),
    ]
    (drive,) = drives(tmp_path, "log.nmea", nmea(lines))
    assert [fix.time_s - NOON_S for fix in drive.fixes] == [0, 2]
    fix = drive.fixes[0]
    assert (fix.lat, fix.lon) == (pytest.approx(41.14), pytest.approx(-8.61))
    assert (fix.altitude_m, fix.course_deg) == (91.5, 87.5)
    assert fix.speed_mps == pytest.approx(10, abs=0.01)
    assert drive.fixes[1].altitude_m == 91.5


def test_nmea_goes_on_past_midnight(tmp_path: Path) -> None:
    """By the date where a sentence has it, by the time of day where it has not."""
    lines = [
        rmc("235958", "4108.0"),
        gga("235958", "4108.0"),
        gga("000000", "4108.1"),  # no RMC in this second
        gga("000002", "4108.2"),
        rmc("000002", "4108.2", day="180524"),
    ]
    (drive,) = drives(tmp_path, "night.nmea", nmea(lines))
    assert [fix.time_s - drive.fixes[0].time_s for fix in drive.fixes] == [0, 2, 4]


def test_of_two_fixes_of_one_moment_the_first_is_taken(tmp_path: Path) -> None:
    """Recorders that write whole seconds give several fixes the same time."""
    times = ("12:00:00", "12:00:00", "12:00:01")
    points = "".join(point(41.14 + n / 10, f"2024-05-17T{time}Z") for n, time in enumerate(times))
    (drive,) = drives(tmp_path, "a.gpx", gpx(f"<trk><trkseg>{points}</trkseg></trk>"))
    assert [fix.lat for fix in drive.fixes] == [pytest.approx(41.14), pytest.approx(41.34)]


GOOD_POINT = point(41.14, "2024-05-17T12:00:00Z")
TRIP = f"77,1,A,{NOON_S:.0f},15,0"


@pytest.mark.parametrize(
    ("name", "text", "where", "advice"),
    [
        ("t.csv", "trip_id,start_epoch\n", "line 1: no column", "the columns are"),
        ("t.csv", f'{HEADER}\n{TRIP},1,"[[-8.61,41.14],[-8.62"\n', "line 2: this trip", "repair or remove"),
        ("t.csv", f'{HEADER}\n{TRIP},9,"[[-8.61,41.14],[-8.62,41.1]]"\n', "line 2: interval_s or", "repair or remove"),
        ("t.csv", f'{HEADER}\n{TRIP},1,"[[-8.61,91],[-8.62,41.1]]"\n', "line 2: there is no place", "remove this fix"),
        ("t.csv", f'{HEADER}\n{TRIP},0,"[[-8.61,41.14]]"\n', "line 2: trip 77 has fewer", "remove it"),
        ("t.csv", f"{HEADER}\n{TRIP}\n", "line 2: this trip", "repair or remove"),
        ("t.gpx", gpx("<trk>"), "line 4: this is not XML", "export the recording again"),
        ("t.gpx", "<kml/>", "line 1: this is kml", "export the recording as GPX"),
        ("t.gpx", gpx('<trk><trkseg>\n<trkpt lat="1" lon="2"/>'), "line 4: this point has no time", "with times"),
        ("t.gpx", gpx(f"<trk><trkseg>\n{point(1, 'noon')}"), "line 4: this point cannot be read", "repair or remove"),
        ("t.gpx", gpx(f"<trk><trkseg>{GOOD_POINT}\n{point(1, '2024-05-17T11:59:59Z')}"), "line 4: this fix", "order"),
        ("t.gpx", '<!DOCTYPE gpx [<!ENTITY a "b">]><gpx/>', "line 1: GPX has no DOCTYPE", "remove it"),
        ("t.gpx", gpx("<rte/>"), "t.gpx has no track", "as a track"),
        ("t.nmea", nmea([rmc("120000", "4108.4").replace("4108.4", "4108.5")]), "line 1: the checksum", "damaged"),
        ("t.nmea", nmea(["$GPRMC,120000,A"]), "line 1: the checksum is missing", "damaged"),
        ("t.nmea", nmea([sentence("GPRMC,120000,A")]), "line 1: this sentence cannot be read", "remove the line"),
        ("t.nmea", nmea([rmc("120000", "4108.4"), "PRMC,1"]), "line 2: this is no NMEA", "remove the line"),
        ("t.nmea", nmea([gga("120000", "4108.4")]), "has no fix with a date", "RMC"),
        ("t.txt", "hello", "is no recording that is known", "give a GPX file"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, name: str, text: str, where: str, advice: str) -> None:
    """The error says in which file and line, and what to do."""
    with pytest.raises(ValueError, match=where) as error:
        drives(tmp_path, name, text)
    assert str(tmp_path / name) in str(error.value)
    assert advice in str(error.value)
