"""Where fixes come from: each source tells what it knows, and nothing that it does not."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tech_app.core.clock import PhoneClock
from tech_app.core.fix import Fix
from tech_app.core.geo import distance_m
from tech_app.core.gps.android import AndroidSource, Sieve, is_mock, read_location, wanted_providers
from tech_app.core.gps.base import Mailbox, Missing, Request, Source
from tech_app.core.gps.gpsd import GpsdSource, read_report
from tech_app.core.gps.plyer import PlyerSource, read_told
from tech_app.core.gps.replay import Drive, RecordedFix, ReplaySource
from tech_app.core.gps.simulator import SimulatorSource
from tests.support.gps_receiver import receiver
from tests.support.phone_clock import NOON_S, SetPhoneClock


async def take(source: Source, most: int) -> list[Fix]:
    """The first fixes of a source, at most so many."""
    taken: list[Fix] = []
    async for fix in source.fixes():
        taken.append(fix)
        if len(taken) == most:
            break
    return taken


# ---- replay ----


async def test_a_recording_is_driven_again_now() -> None:
    """Its fixes come at their own pace, dated now; asked for less often, those in between are left out."""
    recorded = tuple(RecordedFix(1e9 + 5 * n, -8.61, 41 + n * 1e-4, speed_mps=2.0) for n in range(5))
    clock = SetPhoneClock()
    source = ReplaySource(Drive("a drive", recorded, 4), clock)
    source.ask(Request(10))
    fixes = await take(source, 99)
    assert [(fix.time_s - NOON_S, fix.lat) for fix in fixes] == [(0, 41), (10, 41.0002), (20, 41.0004)]
    assert fixes[0].speed_mps == 2.0
    assert source.trouble == "the recording is over"


# ---- simulator ----


async def test_a_simulated_drive_arrives() -> None:
    """Straight to where it is sent, at its speed, and then it stands there."""
    clock = SetPhoneClock()
    start, door = (41.15, -8.61), (41.16, -8.61)
    source = SimulatorSource(clock, start, speed_mps=10)
    source.ask(Request(5))
    (first,) = await take(source, 1)
    source.drive([door])
    fixes = await take(source, 40)
    assert distance_m(first.lat, first.lon, *start) < 30
    assert fixes[5].speed_mps == 10
    assert fixes[5].course_deg == pytest.approx(0, abs=0.1)
    assert distance_m(fixes[-1].lat, fixes[-1].lon, *door) < 30
    assert fixes[-1].speed_mps == 0
    assert distance_m(*start, *door) / 10 == pytest.approx(sum(fix.speed_mps == 10 for fix in fixes) * 5, abs=10)


# ---- plyer ----


class PlyersGps:
    """plyer's GPS as far as the source uses it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def configure(self, on_location: Callable[..., None], on_status: Callable[[str, str], None]) -> None:
        self.on_location, self.on_status = on_location, on_status

    def start(self, minTime: int, minDistance: int) -> None:  # noqa: N803 - plyer's names
        self.calls.append(f"start {minTime} {minDistance}")

    def stop(self) -> None:
        self.calls.append("stop")


async def test_plyer_is_started_and_stopped() -> None:
    """A new interval needs a new start, the same one none; a fix comes from whatever thread."""
    gps = PlyersGps()
    source = PlyerSource(SetPhoneClock(), gps)
    for request in (Request(5), Request(5), Request(3), None):
        source.ask(request)
    assert gps.calls == ["start 5000 0", "stop", "start 3000 0", "stop"]
    gps.on_status("provider-disabled", "gps")
    assert source.trouble is not None
    await asyncio.to_thread(gps.on_location, lat=41.0, lon=-8.0, speed=0.0, bearing=0.0, altitude=5.0, accuracy=9.0)
    assert await take(source, 1) == [Fix(NOON_S, 41.0, -8.0, accuracy_m=9.0, altitude_m=5.0)]
    assert source.trouble is None


def test_what_plyer_does_not_say_is_not_made_up() -> None:
    """-1 of an iPhone, 0 of an Android phone: unknown. Without a place there is no fix."""
    assert read_told({"lat": 1.0, "lon": 2.0, "speed": -1.0, "bearing": -1.0}, 5.0) == Fix(5.0, 1.0, 2.0)
    assert read_told({"speed": 3.0}, 5.0) is None
    assert read_told({"lat": math.nan, "lon": 2.0}, 5.0) is None


async def test_without_plyers_gps_the_way_out_is_told() -> None:
    """On Linux plyer has no GPS: one sentence that says what else there is."""
    pytest.importorskip("plyer")
    with pytest.raises(Missing, match="gpsd, replay or simulator"):
        PlyerSource(SetPhoneClock())


async def test_without_plyer_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It need not be installed."""
    monkeypatch.setitem(sys.modules, "plyer", None)
    with pytest.raises(Missing, match="plyer is not installed"):
        PlyerSource(SetPhoneClock())


# ---- Android ----


@dataclass
class ALocation:
    """An Android location."""

    provider: str = "gps"
    nanos: int = 995 * 10**9
    known: bool = True

    def getLatitude(self) -> float:  # noqa: N802 - Java's names
        return 41.15

    def getLongitude(self) -> float:  # noqa: N802
        return -8.61

    def getElapsedRealtimeNanos(self) -> int:  # noqa: N802
        return self.nanos

    def getProvider(self) -> str:  # noqa: N802
        return self.provider

    def has(self) -> bool:
        return self.known

    hasAccuracy = hasSpeed = hasBearing = hasAltitude = has  # noqa: N815

    def value(self) -> float:
        return 7.0 if self.known else 0.0

    getAccuracy = getSpeed = getBearing = getAltitude = value  # noqa: N815

    def isMock(self) -> bool:  # noqa: N802
        return True


def test_a_location_is_dated_on_the_phones_clock() -> None:
    """Five seconds old by the clock that is never set, whatever year the phone believes in."""
    fix = read_location(ALocation(), NOON_S, 1000.0, mock=False)
    assert fix == Fix(NOON_S - 5, 41.15, -8.61, 7.0, 7.0, 7.0, 7.0)
    assert read_location(ALocation(known=False), NOON_S, 990.0, mock=True) == Fix(NOON_S, 41.15, -8.61, mock=True)


def test_the_providers_are_chosen() -> None:
    """One mixture where there is one; satellites and network apart on older phones; no passive listening."""
    assert wanted_providers(["passive", "gps", "network", "fused"], 31) == ["fused"]
    assert wanted_providers(["passive", "network", "gps", "fused"], 30) == ["gps", "network"]
    assert wanted_providers(["passive"], 34) == []
    assert is_mock(ALocation(), 31)


def test_the_network_guesses_only_where_satellites_are_silent() -> None:
    """Else coarse fixes would come between fine ones."""
    sieve = Sieve()
    asked = [("network", 0.0), ("gps", 10.0), ("network", 20.0), ("gps", 21.0), ("network", 51.0), ("network", 52.0)]
    assert [sieve.passes(*one) for one in asked] == [True, True, False, True, True, True]


class Java(ModuleType):
    """As much of pyjnius, and of Android behind it, as the source touches."""

    def __init__(self) -> None:
        super().__init__("jnius")
        self.calls: list[tuple[Any, ...]] = []
        self.listener: Any = None

    class PythonJavaClass:
        pass

    class JavaException(Exception):
        pass

    def java_method(self, signature: str, name: str) -> Callable[[Any], Any]:
        def mark(method: Any) -> Any:
            method.java = (name, signature)
            return method

        return mark

    def autoclass(self, name: str) -> Any:
        manager = SimpleNamespace(
            getProviders=lambda _: SimpleNamespace(toArray=lambda: ["gps", "fused", "passive"]),
            requestLocationUpdates=lambda *call: self.calls.append(call),
            removeUpdates=lambda listener: self.calls.append(("removed",)),
        )
        return {
            "android.os.Build$VERSION": SimpleNamespace(SDK_INT=34),
            "org.kivy.android.PythonService": SimpleNamespace(
                mService=SimpleNamespace(getSystemService=lambda _: manager)
            ),
            "android.content.Context": SimpleNamespace(LOCATION_SERVICE="location"),
            "android.os.Looper": SimpleNamespace(getMainLooper=lambda: "main"),
        }[name]


async def test_a_batch_of_locations_is_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both forms of the call exist, and a list gives a fix for each, not only for its last."""
    java = Java()
    monkeypatch.setitem(sys.modules, "jnius", java)
    source = AndroidSource(SetPhoneClock())
    source.ask(Request(5))
    *_, call = java.calls
    name, interval_ms, distance_m_, listener, looper = call
    assert (name, interval_ms, distance_m_, looper) == ("fused", 5000, 0.0, "main")
    forms = {method.java for method in vars(type(listener)).values() if hasattr(method, "java")}
    assert ("onLocationChanged", "(Ljava/util/List;)V") in forms
    batch = [ALocation("fused", n * 10**9) for n in (990, 995)]
    listener.on_list(SimpleNamespace(size=lambda: 2, get=batch.__getitem__))
    listener.on_location(ALocation("network", 1000 * 10**9))
    listener.on_location(ALocation("fused", 1000 * 10**9))
    assert [(fix.time_s - NOON_S, fix.mock) for fix in await take(source, 3)] == [(-10, True), (-5, True), (0, True)]
    listener.on_disabled("fused")
    assert source.trouble is not None
    source.ask(None)
    assert java.calls[-1] == ("removed",)


async def test_location_that_is_not_allowed_is_told_until_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Java throws then: one sentence, each time it is asked."""
    java = Java()
    monkeypatch.setitem(sys.modules, "jnius", java)
    source = AndroidSource(SetPhoneClock())

    def refuse(*call: Any) -> None:
        raise java.JavaException("java.lang.SecurityException")

    allowed, source._manager.requestLocationUpdates = source._manager.requestLocationUpdates, refuse
    for _ in range(2):
        with pytest.raises(Missing, match="allow location"):
            source.ask(Request(5))
    source._manager.requestLocationUpdates = allowed
    source.ask(Request(5))
    assert java.calls[-1][0] == "fused"


async def test_elsewhere_than_on_android_the_way_out_is_told() -> None:
    """One sentence."""
    with pytest.raises(Missing, match="no Android device"):
        AndroidSource(SetPhoneClock())


async def test_a_full_mailbox_keeps_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody took the fixes for a long time: the oldest go."""
    monkeypatch.setattr("tech_app.core.gps.base.MOST_WAITING", 3)
    mailbox = Mailbox()
    for n in range(5):
        mailbox.put(Fix(float(n), 1.0, 1.0))
    await asyncio.sleep(0)
    fixes = mailbox.fixes()
    assert [(await anext(fixes)).time_s for _ in range(3)] == [2, 3, 4]


# ---- gpsd ----


def test_reports_of_gpsd_are_read() -> None:
    """A fix has a place; its error is restated as phones state it; its time is the receiver's when the clocks agree."""
    noon = datetime.fromtimestamp(NOON_S - 1, UTC).isoformat().replace("+00:00", "Z")
    report = {"class": "TPV", "mode": 3, "time": noon, "lat": 41.1, "lon": -8.6, "eph": 10.0, "speed": 3, "track": 90}
    assert read_report(report, NOON_S) == Fix(NOON_S - 1, 41.1, -8.6, pytest.approx(6.2), 3, 90)
    assert read_report({**report, "time": "2011-01-01T00:00:00.000Z"}, NOON_S).time_s == NOON_S  # type: ignore[union-attr]
    assert read_report({**report, "time": "soon"}, NOON_S).time_s == NOON_S  # type: ignore[union-attr]
    for useless in ({**report, "mode": 1}, {"class": "SKY"}, {"class": "TPV", "mode": 2}, {**report, "lat": 91}):
        assert read_report(useless, NOON_S) is None


async def test_a_daemon_that_is_away_is_tried_again() -> None:
    """What is wrong is said meanwhile."""
    clock = SetPhoneClock()
    source = GpsdSource(clock, port=1)
    source.ask(Request(1))
    waiting = asyncio.create_task(take(source, 1))
    async with asyncio.timeout(10):
        while clock.now() < NOON_S + 15:  # noqa: ASYNC110 - the clock is moved by whoever sleeps on it
            await asyncio.sleep(0)
    assert source.trouble is not None
    assert "start it, or choose another source" in source.trouble
    waiting.cancel()


async def test_a_real_daemon_gives_fixes() -> None:
    """NMEA in, fixes out, with place, speed and altitude; dated now, as the recording is years old."""
    with receiver() as real:
        if real is None:
            pytest.skip("gpsd is not installed")
        source = GpsdSource(PhoneClock(), port=real.port)
        source.ask(Request(0.0))
        begun_s = PhoneClock().now()
        driving = asyncio.create_task(real.drive_north(41.15, -8.61, 1000))
        async with asyncio.timeout(30):
            fixes = await take(source, 5)
        driving.cancel()
    assert all(41.1499 < fix.lat < 41.16 and fix.lon == pytest.approx(-8.61) for fix in fixes)
    assert fixes[-1].speed_mps == pytest.approx(10, abs=0.1)
    assert fixes[-1].altitude_m == pytest.approx(91.5, abs=1)
    assert [fix.lat for fix in fixes] == sorted(fix.lat for fix in fixes)
    assert all(begun_s - 1 <= fix.time_s <= PhoneClock().now() for fix in fixes)
    assert json.loads(fixes[-1].to_json())["lat"] > 41
