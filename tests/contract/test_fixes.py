"""The examples that phone and service both keep to: they share no code, only these."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

from tracking_server.domain.events import Tap, TapKind
from tracking_server.domain.fix import Fix
from tracking_server.group_commit import Acknowledgement
from tracking_server.ingest import wire
from tracking_server.ingest.routes import encode_acknowledgement
from tracking_server.store.devices import Device

EXAMPLES = Path(__file__).parent / "examples"
DEVICE = Device(UUID(int=1), UUID(int=2), UUID(int=3))
STREAM = 21476933632


def test_the_service_reads_the_example_request() -> None:
    """Every field of the example means what it says."""
    delivery = wire.read((EXAMPLES / "fixes_request.json").read_bytes(), DEVICE, 1769500101.0)
    job_id = UUID("6f9f7c1e-0000-4000-8000-000000000001")
    assert (delivery.stream, delivery.sent_s, delivery.received_s) == (STREAM, 1769500100.0, 1769500101.0)
    assert delivery.taps == [
        Tap(STREAM, 1, 1769500000.0, TapKind.shift_start),
        Tap(STREAM, 2, 1769500001.5, TapKind.en_route, job_id),
    ]
    assert delivery.fixes == [
        Fix(STREAM, 3, 1769500010.25, -8.6109, 41.1496),
        Fix(STREAM, 4, 1769500020.0, -8.611, 41.1497, 8.5, 3.2, 271.0, 94.0, 83.0, False),
    ]
    assert delivery.rejected == []


def test_the_service_writes_the_example_answer() -> None:
    """Byte for byte the same JSON values."""
    written = encode_acknowledgement(Acknowledgement(((1, 4),), {4: "jump"}), 1769500100.5)
    assert json.loads(written) == json.loads((EXAMPLES / "fixes_answer.json").read_text())
