"""The records of a kill test, and that a phone and the store come to the same digest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tech_app.core.fix import Fix
from tests.faults.kill.history import (
    Acked,
    Begun,
    FixRow,
    Heard,
    Stored,
    decode,
    encode,
    fix_digest,
    gen_of,
    heard_of,
    read,
    tap_digest,
)

DEVICE = "5b4c4ba0-9d61-4ea4-a4a5-0a9e5a0f2d11"
measured = st.none() | st.floats(0, 1_000)


def test_a_history_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """Line by line; numbers, none and rows included."""
    row = FixRow(DEVICE, 7, 1, "d", 10.25, 11.0, -8.61, 41.14, None)
    records = [
        Begun(1.5, 1_800_000_000.0, 42),
        Acked(2.0, DEVICE, 7, ((1, 3), (5, 5)), {2: "coarse"}),
        Stored(3.0, True, fixes=(row,), counts=((DEVICE, 7, 1),)),
    ]
    assert [decode(encode(record)) for record in records] == records
    (tmp_path / "history").write_bytes(b"".join(map(encode, records)))
    assert list(read(tmp_path / "history")) == records


@settings(deadline=None)
@given(
    time_s=st.floats(1.6e9, 1.9e9), lat=st.floats(-90, 90), lon=st.floats(-180, 180), skew_s=st.floats(-90_000, 90_000),
    accuracy_m=measured, speed_mps=measured, course_deg=measured, altitude_m=measured,
)  # fmt: skip
def test_phone_and_store_have_one_digest_of_a_fix(
    time_s: float, lat: float, lon: float, skew_s: float, **more: float | None
) -> None:
    """Whatever the phone rounds before sending; and the store's microseconds, its 32-bit floats and its skew."""
    body = Fix(time_s, lat, lon, **more).to_json()
    gen = gen_of(0.0, DEVICE, 7, f'{{"seq":3,{body[1:]}')
    said = json.loads(body)
    stored_s = round((said["time"] + skew_s) * 1e6) / 1e6
    kept = {name: float(np.float32(said[name])) if name in said else None for name in more}
    columns = {"time": stored_s - skew_s, "lat": said["lat"], "lon": said["lon"], "mock": False, **kept}
    assert gen.digest == fix_digest(DEVICE.replace("-", ""), 7, 3, columns)
    assert gen.digest != fix_digest(DEVICE, 7, 4, columns)


def test_a_tap_is_told_with_its_own_digest() -> None:
    """Without its time, and with the words."""
    tap = gen_of(1.0, DEVICE, 7, '{"seq":4,"time":12.5,"kind":"late","job":"j","minutes":20}')
    assert (tap.seq, tap.digest) == (4, tap_digest(DEVICE, 7, 4, {"kind": "late", "job": "j", "minutes": 20}))


def test_what_a_page_hears_is_told_apart() -> None:
    """Statuses by what they show and whom they name, positions by their place, the end as it is."""
    html = '<div class="state" data-showing="en_route" data-position="shown" ...><p class="name"><bdi>T&amp;T</bdi></p>'
    status = heard_of(1.0, "s", 2, "status", html, "12.345")
    assert (status.job_version, status.technician_version) == (12, 345)
    assert (status.showing, status.position, status.technician) == ("en_route", True, "T&T")
    position = heard_of(1.0, "s", 2, "position", '{"lon":-8.6,"lat":41.1,"age_s":0.4}', "12.346")
    assert (position.lon, position.lat, position.technician_version) == (-8.6, 41.1, 346)
    assert heard_of(1.0, "s", 2, "end", "", "end") == Heard(1.0, "s", 2, "end")
