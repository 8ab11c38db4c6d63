"""A phone is paired with the service its technician sees and agrees to, and keeps its key to itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tech_app.core.session import (
    Invitation,
    Refused,
    Seal,
    Session,
    forget_session,
    is_private,
    load_session,
    pair,
    read_invitation,
    save_session,
)
from tests.support.answering import answering

DEVICE = "6f9f7c1e-0000-4000-8000-00000000000d"
CODE = "ABCD2345"
SESSION = Session("https://doorstep.example", "a device", "a technician", "org.secret")


@pytest.mark.parametrize(
    ("address", "code", "expected"),
    [
        ("doorstep.example", "abcd 2345", Invitation("https://doorstep.example", "doorstep.example", CODE, False)),
        (
            "https://doorstep.example/#ABCD-2345",
            "",
            Invitation("https://doorstep.example", "doorstep.example", CODE, False),
        ),
        (" https://a.example:8443/x/ ", CODE, Invitation("https://a.example:8443/x", "a.example:8443", CODE, False)),
        ("http://192.168.1.7:8000", CODE, Invitation("http://192.168.1.7:8000", "192.168.1.7:8000", CODE, True)),
        ("http://[fd00::7]:8000", CODE, Invitation("http://[fd00::7]:8000", "[fd00::7]:8000", CODE, True)),
        ("http://localhost:8000", CODE, Invitation("http://localhost:8000", "localhost:8000", CODE, True)),
    ],
)
def test_an_invitation_is_read(address: str, code: str, expected: Invitation) -> None:
    """Typed or scanned; plain http only to an address of the own network, with a warning."""
    assert read_invitation(address, code) == expected


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("http://doorstep.example", CODE),
        ("http://8.8.8.8", CODE),
        ("http://192.168.1.7.evil.example", CODE),
        ("http://0.0.0.0", CODE),
        ("javascript://doorstep.example", CODE),
        ("https://doorstep.example@evil.example", CODE),
        ("https://", CODE),
        ("https://a b", CODE),
        ("https://a\x00b", CODE),
        ("https://a..example", CODE),
        ("https://" + "a" * 64 + ".example", CODE),
        ("https://a.example/\u0e01", CODE),
        ("https://a.example:port", CODE),
        ("https://[a", CODE),
        ("doorstep.example", ""),
        ("doorstep.example", "short"),
        ("doorstep.example", "A" * 21),
    ],
)
def test_what_is_not_safe_is_refused(address: str, code: str) -> None:
    """One sentence that says what to do, never another host than the one shown."""
    with pytest.raises(Refused, match=r"https://|ask the office"):
        read_invitation(address, code)


def test_private_is_what_the_network_says() -> None:
    """By address alone: a name can be made to mean anything."""
    assert [is_private(host) for host in ("10.0.0.1", "::1", "1.1.1.1", "router.local", "0.0.0.0")] == [  # noqa: S104
        True,
        True,
        False,
        False,
        False,
    ]


@contextmanager
def a_service(status: int, answer: bytes) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A server that says the same to everything, and notes what it was asked."""
    asked: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

    with answering(Handler) as url:
        yield url, asked


async def test_a_code_becomes_a_key() -> None:
    """The request and the answer of the service's pairing."""
    answer = json.dumps({"device": DEVICE, "technician": "a technician", "key": "org.secret"}).encode()
    with a_service(201, answer) as (url, asked):
        session = await pair(read_invitation(url, CODE), "Ana's phone")
    assert session == Session(url, DEVICE, "a technician", "org.secret")
    assert [(path, json.loads(body)) for path, body in asked] == [
        ("/v1/devices", {"code": CODE, "name": "Ana's phone"})
    ]


async def test_only_its_own_service_hears_an_earlier_key() -> None:
    """A phone that goes to another service does not tell it the keys of the first."""
    answer = json.dumps({"device": DEVICE, "technician": "a technician", "key": "org.new"}).encode()
    with a_service(201, answer) as (url, asked):
        earlier = [Session(url, DEVICE, "a technician", "org.old"), Session("https://other", "d", "t", "other.key")]
        await pair(read_invitation(url, CODE), "phone", earlier)
    assert [json.loads(body)["earlier_keys"] for _, body in asked] == [["org.old"]]


async def test_a_device_is_no_path() -> None:
    """The phone keeps what it has in a folder of that name."""
    answer = b'{"device": "../../elsewhere", "technician": "a technician", "key": "org.secret"}'
    with a_service(201, answer) as (url, _), pytest.raises(Refused, match="no service"):
        await pair(read_invitation(url, CODE), "phone")


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (404, b"{}", "ask the office for a new one"),
        (200, b"<html>", "no service of this kind"),
        (500, b"", "no service"),
        (200, b"[" * 9000, "no service"),
    ],
)
async def test_what_went_wrong_is_said(status: int, answer: bytes, said: str) -> None:
    """An old code, and a server that is something else."""
    with a_service(status, answer) as (url, _), pytest.raises(Refused, match=said):
        await pair(read_invitation(url, CODE), "phone")


async def test_nobody_there_is_said() -> None:
    """No server at all."""
    with pytest.raises(Refused, match="check the address"):
        await pair(read_invitation("http://127.0.0.1:1", CODE), "phone")


def test_the_key_is_the_apps_own(tmp_path: Path) -> None:
    """A file that nobody else may read, also when one with other rights lay there."""
    path = tmp_path / "session"
    path.with_suffix(".new").write_text("left by a dead app")
    path.with_suffix(".new").chmod(0o666)
    save_session(path, SESSION)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_session(path) == SESSION
    forget_session(path)
    forget_session(path)
    assert load_session(path) is None


def test_a_keystore_seals_the_key(tmp_path: Path) -> None:
    """What lies on the disk is not the key; without the right seal the phone is paired again."""
    path = tmp_path / "session"
    turned = Seal(lambda data: data[::-1], lambda data: data[::-1])
    save_session(path, SESSION, turned)
    assert b"org.secret" not in path.read_bytes()
    assert load_session(path, turned) == SESSION
    assert load_session(path) is None
