"""What a technician reads out to the office when something does not work."""

from __future__ import annotations

from dataclasses import dataclass

from tech_app.core.outbox import Facts
from tech_app.core.region import Progress, Standing
from tech_app.core.sampling import Profile
from tech_app.core.session import Session
from tech_app.core.status import Connection, Status, age_s
from tech_app.ui.views.link import Mood
from tech_app.ui.words import _, ago, distance, duration, size

# A clock that is off by less shows the right minute.
CLOCK_OFF_S = 30.0
OLD_FIX_S = 180.0


@dataclass(frozen=True, slots=True)
class Row:
    """A fact: what it is called, how it is, how much it matters, and more about it, in English, for the office."""

    label: str
    value: str
    mood: Mood = Mood.calm
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DiagnosticsView:
    """Everything on the screen but the choices."""

    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Device:
    """What this phone says of itself. None is what it cannot say."""

    version: str
    location_allowed: bool | None = None
    notices_allowed: bool | None = None
    battery_saved: bool | None = None  # the phone may stop the app to spare its battery


def diagnostics_view(
    status: Status,
    facts: Facts,
    session: Session,
    device: Device,
    copy: Progress,
    since_boot_s: float,
    *,
    tracked: bool,
) -> DiagnosticsView:
    """`copy` is the map's, on this phone. `since_boot_s` is now, on the clock that is never set."""
    rows = [
        Row(_("Office"), _host(session)),
        _connection(status),
        Row(_("Last answer"), _ago(age_s(status.acknowledged_s, since_boot_s))),
        Row(_("Visits fetched"), _ago(age_s(status.jobs_s, since_boot_s)), detail=status.jobs_trouble or ""),
        _waiting(facts, status),
        *_position(status, device, since_boot_s, tracked),
        _map(copy),
        _clock(status),
        *_device(device),
    ]
    return DiagnosticsView(tuple(rows))


def _host(session: Session) -> str:
    return session.url.partition("://")[2]


def _ago(seconds: float | None) -> str:
    return _("not yet") if seconds is None else ago(seconds)


def _connection(status: Status) -> Row:
    if not status.paired:
        return Row(_("Connection"), _("removed by the office"), Mood.bad)
    value, mood = {
        Connection.untried: (_("not tried yet"), Mood.calm),
        Connection.websocket: (_("good"), Mood.good),
        Connection.http: (_("good, the slower way"), Mood.good),
        Connection.away: (_("none"), Mood.warn),
    }[status.connection]
    return Row(_("Connection"), value, mood, status.uplink_trouble or "")


def _waiting(facts: Facts, status: Status) -> Row:
    counts = {"taps": facts.taps, "fixes": facts.fixes, "files": facts.files}
    value = _("steps: %(taps)s, pictures: %(files)s, positions: %(fixes)s") % counts
    detail = status.files_trouble or status.storage_trouble or ""
    if facts.thinned:
        detail = " ".join([detail, f"{facts.thinned} old fixes were given up: the queue was full"]).strip()
    return Row(_("Waiting to be sent"), value, Mood.bad if status.storage_trouble else Mood.calm, detail)


def _position(status: Status, device: Device, since_boot_s: float, tracked: bool) -> list[Row]:
    rows = []
    if device.location_allowed is not None:
        allowed = device.location_allowed
        rows.append(
            Row(_("Location permission"), _("given") if allowed else _("missing"), Mood.good if allowed else Mood.bad)
        )
    trouble = status.gps_trouble or ""
    if not tracked:
        return [*rows, Row(_("GPS"), _("off: you are not on shift"))]
    rows.append(Row(_("GPS"), _("trouble") if trouble else _pace(status), Mood.bad if trouble else Mood.good, trouble))
    if status.seen is None:
        return [*rows, Row(_("Position"), _("not yet"), Mood.warn)]
    old_s = age_s(status.seen.at_s, since_boot_s)
    value = _ago(old_s)
    if status.seen.accuracy_m is not None:
        value = _("%(ago)s, accurate to %(distance)s") % {"ago": value, "distance": distance(status.seen.accuracy_m)}
    return [*rows, Row(_("Position"), value, Mood.warn if (old_s or 0.0) > OLD_FIX_S else Mood.good)]


def _pace(status: Status) -> str:
    return {
        None: _("on"),
        Profile.still: _("on, standing still"),
        Profile.driving: _("on, driving"),
        Profile.near: _("on, close to the visit"),
    }[status.profile]


def _map(copy: Progress) -> Row:
    label = _("Map on this phone")
    match copy.standing:
        case Standing.whole:
            return Row(label, size(copy.size_bytes), Mood.good)
        case Standing.fetching:
            sizes = {"done": size(copy.done_bytes), "whole": size(copy.size_bytes)}
            return Row(label, _("%(done)s of %(whole)s") % sizes)
        case Standing.asks:
            return Row(label, _("waits for you: open a map"), Mood.warn)
        case Standing.no_map:
            return Row(label, _("none"))
        case Standing.trouble:
            return Row(label, _("trouble"), Mood.warn, copy.trouble)
    return Row(label, _("not yet"))


def _clock(status: Status) -> Row:
    label = _("This phone's clock")
    if status.skew is None:
        return Row(label, _("not compared yet"))
    off_s = status.skew.seconds
    if abs(off_s) <= max(CLOCK_OFF_S, status.skew.within_s):
        return Row(label, _("right"), Mood.good)
    text = _("%(duration)s slow") if off_s > 0 else _("%(duration)s fast")
    return Row(label, text % {"duration": duration(abs(off_s))}, Mood.warn)


def _device(device: Device) -> list[Row]:
    rows = []
    if device.notices_allowed is not None:
        allowed = device.notices_allowed
        rows.append(Row(_("Notifications"), _("allowed") if allowed else _("off"), Mood.good if allowed else Mood.warn))
    if device.battery_saved is not None:
        saved = device.battery_saved
        value = _("may stop this app: switch that off for Doorstep") if saved else _("leaves this app alone")
        rows.append(Row(_("Battery saving"), value, Mood.warn if saved else Mood.good))
    return [*rows, Row(_("Version"), device.version)]
