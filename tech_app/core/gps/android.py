"""Fixes from Android itself, through pyjnius: with their own time, provider and mock flag, and none of a batch lost.

What talks to Java could not be run for this: there was no phone. What reads a location and chooses providers is plain
Python, and tested.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Collection, Iterable
from typing import Any, Protocol

from tech_app.core.clock import Clock
from tech_app.core.fix import Fix
from tech_app.core.gps.base import Mailbox, Missing, Request

ANDROID_12 = 31
# After a satellite fix the network's guesses are of no use for so long.
NETWORK_AFTER_S = 30.0


class Location(Protocol):
    """What is read of an `android.location.Location`."""

    def getLatitude(self) -> float: ...  # noqa: N802 - Java's names
    def getLongitude(self) -> float: ...  # noqa: N802
    def getElapsedRealtimeNanos(self) -> int: ...  # noqa: N802
    def getProvider(self) -> str: ...  # noqa: N802
    def hasAccuracy(self) -> bool: ...  # noqa: N802
    def getAccuracy(self) -> float: ...  # noqa: N802
    def hasSpeed(self) -> bool: ...  # noqa: N802
    def getSpeed(self) -> float: ...  # noqa: N802
    def hasBearing(self) -> bool: ...  # noqa: N802
    def getBearing(self) -> float: ...  # noqa: N802
    def hasAltitude(self) -> bool: ...  # noqa: N802
    def getAltitude(self) -> float: ...  # noqa: N802


def read_location(location: Location, now_s: float, since_boot_s: float, *, mock: bool) -> Fix:
    """The fix of a location. Its age is taken from the clock that is never set, not from the satellites' time: all
    times that a phone sends are on the phone's clock."""
    age_s = max(0.0, since_boot_s - location.getElapsedRealtimeNanos() / 1e9)
    return Fix(
        now_s - age_s,
        location.getLatitude(),
        location.getLongitude(),
        accuracy_m=location.getAccuracy() if location.hasAccuracy() else None,
        speed_mps=location.getSpeed() if location.hasSpeed() else None,
        course_deg=location.getBearing() if location.hasBearing() else None,
        altitude_m=location.getAltitude() if location.hasAltitude() else None,
        mock=mock,
    )


def is_mock(location: Any, api: int) -> bool:
    """Whether another app made this location up. The question has another name since Android 12."""
    return bool(location.isMock() if api >= ANDROID_12 else location.isFromMockProvider())


def wanted_providers(present: Collection[str], api: int) -> list[str]:
    """Which providers to listen to: the system's own mixture where there is one, else satellites and network."""
    if api >= ANDROID_12 and "fused" in present:
        return ["fused"]
    return [name for name in ("gps", "network") if name in present]


class Sieve:
    """Lets the network's guesses through only while the satellites are silent."""

    def __init__(self) -> None:
        self._last_good_s = -NETWORK_AFTER_S

    def passes(self, provider: str, since_boot_s: float) -> bool:
        if provider == "network":
            return since_boot_s - self._last_good_s >= NETWORK_AFTER_S
        self._last_good_s = since_boot_s
        return True


class AndroidSource:
    """Listens to the location service; in the app's screen or in its foreground service."""

    def __init__(self, clock: Clock, context: Any = None) -> None:
        """Raises `Missing` outside Android. `context` is the activity or service, found by itself when not given."""
        try:
            self._jnius = importlib.import_module("jnius")
        except ImportError as error:
            raise Missing("this is no Android device: choose another source: gpsd, replay or simulator") from error
        self.trouble: str | None = None
        self._clock = clock
        self._mailbox = Mailbox()
        self._sieve = Sieve()
        self._api = int(self._jnius.autoclass("android.os.Build$VERSION").SDK_INT)
        context = context or _own_context(self._jnius)
        self._manager = context.getSystemService(self._jnius.autoclass("android.content.Context").LOCATION_SERVICE)
        self._listener = _listener(self._jnius, self._on_locations, self._on_switched_off)
        self._running: Request | None = None

    def ask(self, request: Request | None) -> None:
        if request == self._running:
            return
        self._manager.removeUpdates(self._listener)
        self._running = None
        if request is not None:
            self._listen(request)
        self._running = request

    def fixes(self) -> AsyncIterator[Fix]:
        return self._mailbox.fixes()

    def _listen(self, request: Request) -> None:
        providers = wanted_providers(list(self._manager.getProviders(False).toArray()), self._api)
        if not providers:
            raise Missing("this device has no GPS: choose another source")
        looper = self._jnius.autoclass("android.os.Looper").getMainLooper()
        try:
            for name in providers:
                self._manager.requestLocationUpdates(
                    name, round(request.interval_s * 1000), 0.0, self._listener, looper
                )
        except self._jnius.JavaException as error:
            raise Missing("the app may not see where it is: allow location for it in the phone's settings") from error

    def _on_locations(self, locations: Iterable[Any]) -> None:
        """On the main thread, oldest first."""
        self.trouble = None
        for location in locations:
            since_boot_s = self._clock.since_boot()
            if self._sieve.passes(location.getProvider(), since_boot_s):
                mock = is_mock(location, self._api)
                self._mailbox.put(read_location(location, self._clock.now(), since_boot_s, mock=mock))

    def _on_switched_off(self, provider: str) -> None:
        self.trouble = f"{provider} is switched off: switch location on in the phone's settings"


def _own_context(jnius: Any) -> Any:
    """The foreground service where this process is one, else the activity."""
    service = jnius.autoclass("org.kivy.android.PythonService").mService
    return service or jnius.autoclass("org.kivy.android.PythonActivity").mActivity


def _listener(jnius: Any, on_locations: Any, on_switched_off: Any) -> Any:
    """A LocationListener. Since Android 12 locations come as a list, which the older form would lose."""

    class Listener(jnius.PythonJavaClass):  # type: ignore[misc] # known on the phone only
        __javainterfaces__ = ("android/location/LocationListener",)

        @jnius.java_method("(Landroid/location/Location;)V", name="onLocationChanged")
        def on_location(self, location: Any) -> None:
            on_locations([location])

        @jnius.java_method("(Ljava/util/List;)V", name="onLocationChanged")
        def on_list(self, locations: Any) -> None:
            on_locations([locations.get(i) for i in range(locations.size())])

        @jnius.java_method("(Ljava/lang/String;)V", name="onProviderEnabled")
        def on_enabled(self, provider: str) -> None:
            pass

        @jnius.java_method("(Ljava/lang/String;)V", name="onProviderDisabled")
        def on_disabled(self, provider: str) -> None:
            on_switched_off(provider)

        @jnius.java_method("(Ljava/lang/String;ILandroid/os/Bundle;)V", name="onStatusChanged")
        def on_status(self, provider: str, status: int, extras: Any) -> None:
            pass

        @jnius.java_method("(I)V", name="onFlushComplete")
        def on_flushed(self, code: int) -> None:
            pass

    return Listener()
