"""The stream's examples, and the taps with words: what the phone's tests write, the service reads."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

from tests.contract.test_fixes import DEVICE, EXAMPLES, STREAM
from tracking_server.domain.events import Tap, TapKind
from tracking_server.group_commit import Acknowledgement
from tracking_server.ingest import wire
from tracking_server.ingest.phones import NEWS
from tracking_server.ingest.room import LATEST_AGAIN_S, SOONEST_AGAIN_S
from tracking_server.ingest.routes import acknowledgement_facts
from tracking_server.ingest.stream import message_id

JOB = UUID("6f9f7c1e-0000-4000-8000-000000000001")


def example(name: str) -> bytes:
    return (Path(EXAMPLES) / f"{name}.json").read_bytes()


def test_a_message_is_a_request_with_its_number_in_front() -> None:
    """Read as the body of `POST /v1/fixes` is; the number is found without reading the rest."""
    assert message_id(example("stream_message"), "") == 7
    message = wire.read(example("stream_message"), DEVICE, 1769500101.0)
    request = wire.read(example("fixes_request"), DEVICE, 1769500101.0)
    assert (message.stream, message.sent_s, message.taps) == (request.stream, request.sent_s, request.taps)
    assert [(fix.seq, fix.mock) for fix in message.fixes] == [(3, False), (4, True)]


def test_the_answers_are_the_examples() -> None:
    """What is committed, what was refused, and news."""
    said = acknowledgement_facts(Acknowledgement(((1, 4),), {4: "jump"}), 1769500100.5)
    expected = json.loads(example("stream_answer"))
    assert json.loads(json.dumps({"id": 7, **said})) == expected
    assert SOONEST_AGAIN_S <= json.loads(example("stream_refusal"))["retry_after"] <= LATEST_AGAIN_S
    assert json.loads(NEWS) == json.loads(example("stream_news"))


def test_the_service_reads_what_a_technician_says() -> None:
    """Minutes, reasons and texts arrive with their taps."""
    delivery = wire.read(example("job_taps"), DEVICE, 1769503701.0)
    assert delivery.taps == [
        Tap(STREAM, 5, 1769503000.0, TapKind.late, JOB, minutes=20),
        Tap(STREAM, 6, 1769503100.0, TapKind.not_home, JOB),
        Tap(STREAM, 7, 1769503600.0, TapKind.no_access, JOB, "nobody_home", "rang three times"),
        Tap(STREAM, 8, 1769503650.0, TapKind.note, JOB, text="the main valve is behind the fridge"),
    ]
    assert delivery.rejected == []


def test_words_are_kept_as_far_as_they_are_words() -> None:
    """Too long: cut. Control characters, half characters and what turns a line around: left out. Minutes: within a
    day. What has no right type costs its own tap, and no other."""
    texts = {"long": "a" * 5_000, "bad": "ring\0 \u202etwice\x07 ำ \ud83d", "spaces": "  \n "}
    taps = [
        {"seq": n, "time": 1769503000.0, "kind": "note", "job": str(JOB), "text": text, "minutes": 10**12}
        for n, text in enumerate(texts.values())
    ]
    wrong = {"seq": 9, "time": 1769503000.0, "kind": "note", "job": str(JOB), "text": ["a"]}
    body = json.dumps({"stream": STREAM, "sent_at": 1769503000.0, "taps": [*taps, wrong]}).encode()
    delivery = wire.read(body, DEVICE, 1769503000.0)
    assert [tap.text for tap in delivery.taps] == ["a" * 2_000, "ring twice ำ", None]
    assert {tap.minutes for tap in delivery.taps} == {1_440}
    assert [item.seq for item in delivery.rejected] == [9]
