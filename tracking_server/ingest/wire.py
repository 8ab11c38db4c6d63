"""The body of `POST /v1/fixes`, read with suspicion: one unreadable fix never costs its neighbours.

Times are UTC seconds since 1970 on the phone's clock, the same clock as `sent_at`; the difference between `sent_at` and
the time of receipt corrects them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec
import numpy as np

from tracking_server.domain.events import Tap, TapKind
from tracking_server.domain.fix import Fix, Verdict
from tracking_server.domain.note import MOST_WRITTEN, cut_text
from tracking_server.store.devices import Device
from tracking_server.store.fixes import Rejected
from tracking_server.turn import Delivery

MOST_BODY_BYTES = 2 * 1024 * 1024  # inflated: 10,000 fixes are about 1 MB
MOST_FIXES = 10_000
MOST_DEPTH = 16
NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
MOST_NUMBER = 2**63 - 1  # stream and seq are bigint columns
MOST_MEASURED = 1e6  # metres, metres a second, degrees, percent: no instrument says more, or NaN, or infinity
MOST_MINUTES = 24 * 60  # who is later than that comes on another day
MOST_REASON = 40  # characters of a word out of a list
LAST_TIME_S = 4e9  # the year 2096: what is later, or before 1970, is no time of a tap or a clock


class TooLarge(Exception):
    """The body is larger than 2 MiB when inflated, or has more than 10,000 fixes: send less at a time."""


class Unreadable(Exception):
    """The body cannot be read as a delivery."""


class WireFix(msgspec.Struct):
    """A fix as a phone writes it."""

    seq: int
    time: float
    lat: float
    lon: float
    accuracy_m: float | None = None
    speed_mps: float | None = None
    course_deg: float | None = None
    altitude_m: float | None = None
    battery_pct: float | None = None
    mock: bool = False


class WireTap(msgspec.Struct):
    """A tap as a phone writes it."""

    seq: int
    time: float
    kind: TapKind
    job: UUID | None = None
    reason: str | None = None
    text: str | None = None
    minutes: int | None = None


class WireDelivery(msgspec.Struct):
    """A piece of one stream. Taps come first in phone time where they and fixes are of one moment."""

    stream: int
    sent_at: float | None = None
    fixes: list[WireFix] = []
    taps: list[WireTap] = []


_whole = msgspec.json.Decoder(WireDelivery)


def inflate(body: bytes, encoding: str) -> bytes:
    """The body without its compression. Raises `TooLarge` or `Unreadable`; never holds more than the limit."""
    if encoding in ("", "identity"):
        if len(body) > MOST_BODY_BYTES:
            raise TooLarge
        return body
    if encoding != "gzip":
        raise Unreadable(f"content-encoding {encoding!r} is not understood; use gzip or none")
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        inflated = inflater.decompress(body, MOST_BODY_BYTES + 1)
    except zlib.error as error:
        raise Unreadable("the body is not gzip") from error
    if len(inflated) > MOST_BODY_BYTES:
        raise TooLarge
    if not inflater.eof:
        raise Unreadable("the gzip body is cut short")
    return inflated


def read(body: bytes, device: Device, received_s: float) -> Delivery:
    """A delivery from a body. What cannot be read inside it is set apart; raises `Unreadable` when nothing can."""
    if body.count(b"[") + body.count(b"{") > MOST_DEPTH and _depth(body) > MOST_DEPTH:
        raise Unreadable("the body is nested too deeply")
    try:
        wire = _whole.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_piecewise(body, device, received_s)
    if not 0 <= wire.stream <= MOST_NUMBER:
        raise Unreadable("stream is not a positive 64-bit number")
    if len(wire.fixes) + len(wire.taps) > MOST_FIXES:
        raise TooLarge
    seqs = [fix.seq for fix in wire.fixes]
    if wire.taps:
        seqs += [tap.seq for tap in wire.taps]
    if seqs and not 0 <= min(seqs) <= max(seqs) <= MOST_NUMBER:
        return _read_piecewise(body, device, received_s)
    if not wire.taps and len(set(seqs)) == len(seqs):  # nearly every delivery
        fixes = [_fix(wire.stream, fix) for fix in wire.fixes]
        return Delivery(device, wire.stream, wire.sent_at if _is_time(wire.sent_at) else None, received_s, fixes)
    return _delivery(device, wire.stream, wire.sent_at, received_s, wire.fixes, wire.taps, [])


def _depth(body: bytes) -> int:
    """How deeply the brackets nest, at most: those inside strings count too, which no honest phone notices."""
    brackets = np.frombuffer(body.translate(None, delete=NOT_BRACKETS), dtype=np.uint8)
    steps = np.where((brackets == ord("[")) | (brackets == ord("{")), 1, -1)
    return int(steps.cumsum().max(initial=0))


def _read_piecewise(body: bytes, device: Device, received_s: float) -> Delivery:
    """Item by item: NaN, missing fields and wrong types cost only the item they are in."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unreadable("the body is not JSON") from error
    if not isinstance(value, dict) or not _is_number(value.get("stream")):
        raise Unreadable("the body is not an object with a stream")
    fixes, taps = value.get("fixes", []), value.get("taps", [])
    if not isinstance(fixes, list) or not isinstance(taps, list):
        raise Unreadable("fixes and taps are not lists")
    if len(fixes) + len(taps) > MOST_FIXES:
        raise TooLarge
    rejected: list[Rejected] = []
    stream = value["stream"]
    good_fixes = _convert(fixes, WireFix, device, stream, received_s, rejected)
    good_taps = _convert(taps, WireTap, device, stream, received_s, rejected)
    sent_s = value.get("sent_at")
    sent_s = sent_s if isinstance(sent_s, int | float) else None
    return _delivery(device, stream, sent_s, received_s, good_fixes, good_taps, rejected)


def _convert(
    items: list[Any], type_: type[Any], device: Device, stream: int, received_s: float, rejected: list[Rejected]
) -> list[Any]:
    good = []
    for item in items:
        seq = item.get("seq") if isinstance(item, dict) else None
        seq = seq if _is_number(seq) else None
        try:
            if seq is None:
                raise ValueError("no seq")
            good.append(msgspec.convert(item, type_))
        except (msgspec.ValidationError, ValueError):
            rejected.append(_reject(device, stream, seq, item, received_s))
    return good


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_NUMBER


def _delivery(
    device: Device,
    stream: int,
    sent_s: float | None,
    received_s: float,
    fixes: Iterable[WireFix],
    taps: Iterable[WireTap],
    rejected: list[Rejected],
) -> Delivery:
    """Each number once: the first one counts. A rejected one never hides a good one."""
    good_taps: dict[int, Tap] = {}
    good_fixes: dict[int, Fix] = {}
    for tap in taps:
        if _is_time(tap.time):
            good_taps.setdefault(tap.seq, _tap(stream, tap))
        else:
            rejected.append(_reject(device, stream, tap.seq, msgspec.to_builtins(tap), received_s))
    for fix in fixes:
        if fix.seq not in good_fixes and fix.seq not in good_taps:
            good_fixes[fix.seq] = _fix(stream, fix)
    return Delivery(
        device,
        stream,
        sent_s if _is_time(sent_s) else None,
        received_s,
        list(good_fixes.values()),
        list(good_taps.values()),
        _once(item for item in rejected if item.seq not in good_fixes and item.seq not in good_taps),
    )


def _once(rejected: Iterable[Rejected]) -> list[Rejected]:
    return list({item.digest: item for item in rejected}.values())


def _reject(device: Device, stream: int, seq: int | None, item: object, received_s: float) -> Rejected:
    return Rejected(device.id, Verdict.unreadable, json.dumps(item).encode(), received_s, stream, seq)


def _is_time(time_s: float | None) -> bool:
    return time_s is not None and 0 < time_s < LAST_TIME_S


def _tap(stream: int, tap: WireTap) -> Tap:
    """What was written is cut where it is too long: a tap is worth more than its words."""
    reason = None if tap.reason is None else cut_text(tap.reason, MOST_REASON) or None
    text = None if tap.text is None else cut_text(tap.text, MOST_WRITTEN) or None
    minutes = None if tap.minutes is None else min(max(tap.minutes, 0), MOST_MINUTES)
    return Tap(stream, tap.seq, tap.time, tap.kind, tap.job, reason, text, minutes)


def _fix(stream: int, fix: WireFix) -> Fix:
    """What is as it should be is not looked at again in a function of its own: a call costs as much as the rest."""
    accuracy_m, speed_mps, course_deg = fix.accuracy_m, fix.speed_mps, fix.course_deg
    altitude_m, battery_pct = fix.altitude_m, fix.battery_pct
    if accuracy_m is not None and not 0 < accuracy_m <= MOST_MEASURED:
        accuracy_m = _positive(accuracy_m)
    if speed_mps is not None and not 0 <= speed_mps < MOST_MEASURED:
        speed_mps = None  # phones say -1 when they do not know
    if course_deg is not None and not 0 <= course_deg < MOST_MEASURED:
        course_deg = None
    if altitude_m is not None and not abs(altitude_m) < MOST_MEASURED:
        altitude_m = None
    if battery_pct is not None and not 0 <= battery_pct < MOST_MEASURED:
        battery_pct = None
    return Fix(
        stream, fix.seq, fix.time, fix.lon, fix.lat,
        accuracy_m, speed_mps, course_deg, altitude_m, battery_pct, fix.mock,
    )  # fmt: skip


def _positive(accuracy_m: float) -> float | None:
    """Zero and negative accuracies mean unknown; an absurd one means that the fix is worth nothing."""
    return min(accuracy_m, MOST_MEASURED) if accuracy_m > 0 else None  # NaN is not above zero either
