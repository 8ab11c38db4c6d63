"""Webhooks: signed, repeated for three days, and no door to the inside of anybody's network."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from standardwebhooks import Webhook

from tests.support.clocks import SetClock
from tests.support.firm import Firm
from tests.support.receiver import Receiver, receiver
from tests.support.rows import rows
from tests.support.telling import book, send_owed, standings
from tracking_server.domain.message import Channel
from tracking_server.notify.channels import outbound
from tracking_server.notify.channels.outbound import Forbidden, GuardedNetwork, check_address, check_url
from tracking_server.notify.channels.outgoing import Outgoing, Refused, Unreachable
from tracking_server.notify.channels.webhook import LEFT_ALONE_S, MOST_HANGING, MOST_READ, WebhookCaller
from tracking_server.notify.sender import Parts
from tracking_server.settings import Settings
from tracking_server.store.engine import transaction
from tracking_server.store.webhooks import insert_webhook, set_disabled, webhooks

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOCAL = Settings(webhooks_local=True)


@pytest.fixture(autouse=True)
def any_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receivers of tests listen where there is room; which ports are allowed is tested by itself."""
    monkeypatch.setattr(outbound, "LOCAL_PORTS", frozenset(range(65_536)))


class FastClock(SetClock):
    """Fifteen seconds take less than one."""

    def real_s(self, seconds: float) -> float:
        return seconds / 50


def resolver(*answers: list[str]) -> Callable[[str, int], Awaitable[list[str]]]:
    """A name server that gives one answer after the other, the last for ever."""
    left = list(answers)

    async def resolve(_: str, __: int) -> list[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


def outgoing(url: str, now_s: float) -> Outgoing:
    return Outgoing(uuid4(), uuid4(), "key-1", url, "", "", '{"type":"visit.booked"}', "en", now_s, secret=SECRET)


def caller(now_s: float, network: GuardedNetwork | None = None, settings: Settings = LOCAL) -> WebhookCaller:
    return WebhookCaller(settings, FastClock(now_s), network)


async def add(firm: Firm, url: str) -> tuple[UUID, str]:
    async with transaction(firm.engine, firm.organisation_id) as connection:
        return await insert_webhook(connection, firm.organisation_id, url, firm.now_s)


@pytest.fixture
def parts(firm: Firm, clock: SetClock) -> Parts:
    return Parts(firm.engine, clock, LOCAL, {Channel.webhook: WebhookCaller(LOCAL, FastClock(firm.now_s))})


# ---- what is sent ----


async def test_a_receiver_is_told_signed_and_without_names(firm: Firm, parts: Parts) -> None:
    """The signature is what the receiver's library checks; the body names the job, and nobody."""
    async with receiver() as one:
        _, secret = await add(firm, f"http://127.0.0.1:{one.port}/hook")
        job_id = await book(firm, phone=None, email=None)
        await send_owed(parts, firm)
    ((headers, body),) = one.requests
    assert headers[""] == "POST /hook HTTP/1.1"
    assert headers["host"] == f"127.0.0.1:{one.port}"
    told = Webhook(secret).verify(body, headers)
    assert told["type"] == "visit.booked"
    assert (told["data"]["job"], told["data"]["state"]) == (str(job_id), "scheduled")
    assert not [name for name in ("Maria", "Flores", "Leaking", "Ribeira") if name in body.decode()]
    assert (await standings(firm))["booked webhook"] == ("sent", "accepted")


async def test_a_receiver_that_is_away_is_tried_for_three_days(firm: Firm, clock: SetClock, parts: Parts) -> None:
    """Ten tries, from 5 s to 24 h apart, 75.6 h in all, under one id; then the message has failed."""
    async with receiver(answer=b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n") as one:
        await add(firm, f"http://127.0.0.1:{one.port}/")
        await book(firm, phone=None, email=None)
        waits: list[float] = []
        while later := await send_owed(parts, firm):
            waits.append(later[0].wait_s)
            clock.now_s += later[0].wait_s
    assert (waits[0], waits[-1], round(sum(waits) / 3600, 1)) == (5, 86_400, 75.6)
    assert len(one.requests) == 10
    assert len({headers["webhook-id"] for headers, _ in one.requests}) == 1
    assert (await standings(firm))["booked webhook"] == ("failed", "gave_up: receiver_503")


async def test_a_receiver_that_is_gone_is_turned_off(firm: Firm, parts: Parts) -> None:
    """410: nothing more is sent or owed, and the firm is shown why. Turned on again, it is told what comes then."""
    async with receiver(answer=b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n") as one:
        webhook_id, _ = await add(firm, f"http://127.0.0.1:{one.port}/")
        await book(firm, phone=None, email=None)
        await book(firm, phone=None, email=None)
        await send_owed(parts, firm)
        await book(firm, phone=None, email=None)
        await send_owed(parts, firm)
        assert len(one.requests) == 1
    told = [(row.state, row.reason) for row in await rows(firm, "message") if row.channel == "webhook"]
    assert sorted(told) == [("failed", "receiver_gone"), ("skipped", "receiver_off")]
    async with transaction(firm.engine, firm.organisation_id) as connection:
        (shown,) = await webhooks(connection, firm.organisation_id)
        assert shown["disabled_reason"] == "it answered 410 Gone"
        assert "secret" not in shown
        await set_disabled(connection, firm.organisation_id, webhook_id, None, firm.now_s)
    await book(firm, phone=None, email=None)
    assert [row.state for row in await rows(firm, "message") if row.channel == "webhook"].count("owed") == 1


# ---- where it is sent ----

FORBIDDEN_URLS = [
    "http://example.com/",  # not in development
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://127.0.0.1/",
    "https://127.0.0.1./",
    "https://[::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[fe80::1%25eth0]/",
    "https://169.254.169.254/latest/meta-data",
    "https://user@example.com/",
    "https://example.com@127.0.0.1/",
    "https://example.com#@127.0.0.1/",
    "https://example\u3002com/",
    "https://ex\u00e4mple.com/",
    "https://example.com:6379/",
    "https://example.com:80/",
    "https://example.com:0/",
    "https://example.com:99999/",
    "gopher://example.com/",
    "file:///etc/passwd",
    "//example.com/",
    "https:///",
    "https://",
    "https://exa mple.com/",
    "https://example.com\\@127.0.0.1/",
    "https://example.com/\r\nHost: inside",
    "https://" + "a" * 300 + ".com/",
    "https://example..com/",
    "https://example.com/" + "a" * 2000,
]


@pytest.mark.parametrize("url", FORBIDDEN_URLS)
def test_an_odd_url_is_refused_as_it_is_written(url: str) -> None:
    """By its spelling alone, before any name is looked up."""
    with pytest.raises(Forbidden):
        check_url(url, local=False)


@pytest.mark.parametrize(
    "url", ["https://example.com/a?b=c", "https://xn--exmple-cua.com:8443/", "https://93.184.215.14"]
)
def test_an_ordinary_url_is_taken(url: str) -> None:
    """As it is."""
    assert check_url(url, local=False) == url


@pytest.mark.parametrize("port", [80, 443, 8080, 8443])
def test_development_has_two_ports_more(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """And http, and this machine; still no others."""
    monkeypatch.undo()
    assert check_url(f"http://127.0.0.1:{port}/", local=True)
    for other in ("http://127.0.0.1:6379/", "http://10.0.0.1:8080/", "http://127.1:8080/"):
        with pytest.raises(Forbidden):
            check_url(other, local=True)


INSIDE = [
    "0.0.0.0",  # noqa: S104 - looked at, not listened on
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.8.8.8",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.9",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "::7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2001:20::1",
    "3fff::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "5f00::1",
]


@pytest.mark.parametrize("address", INSIDE)
async def test_an_address_inside_is_never_connected_to(now_s: float, address: str) -> None:
    """Also as one of several: every address of a name is looked at before the first connection."""
    network = GuardedNetwork(local=False, resolve=resolver(["93.184.215.14", address]))
    with pytest.raises(Refused, match="forbidden_address"):
        await caller(now_s, network, Settings()).send(outgoing("https://nip.example/", now_s))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:2800:220:1:248:1893:25c8:1946"])
def test_an_address_of_the_open_internet_is_fine(address: str) -> None:
    """IPv4 and IPv6."""
    check_address(address, local=False)


async def test_a_name_that_leads_inside_reaches_no_trap(now_s: float) -> None:
    """A trap listens on this machine, on both families; in production no spelling of its address reaches it."""
    async with receiver() as trap, receiver("::1") as trap_6:
        for port in (trap.port, trap_6.port):
            for host in ("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"):
                for scheme in ("https", "http"):
                    with pytest.raises(Refused):
                        await caller(now_s, settings=Settings()).send(outgoing(f"{scheme}://{host}:{port}/", now_s))
        for answer in (["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["8.8.8.8", "127.0.0.1"]):
            network = GuardedNetwork(local=False, resolve=resolver(answer))
            with pytest.raises(Refused):
                await caller(now_s, network, Settings()).send(outgoing("https://name.example/", now_s))
    assert (trap.connections, trap_6.connections) == (0, 0)


async def test_the_address_looked_at_is_the_address_connected_to(now_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the first answer is open, the second is this machine. The second is never asked for."""
    asked: list[str] = []
    connected: list[str] = []
    answers = resolver(["127.0.0.1"], ["10.0.0.1"])

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return await answers(host, port)

    async with receiver() as one:
        network = GuardedNetwork(local=True, resolve=resolve)
        connect = network._network.connect_tcp

        async def watched(host: str, *rest: Any) -> Any:
            connected.append(host)
            return await connect(host, *rest)

        monkeypatch.setattr(network._network, "connect_tcp", watched)
        await caller(now_s, network).send(outgoing(f"http://name.example:{one.port}/", now_s))
        assert (asked, connected) == (["name.example"], ["127.0.0.1"])
        ((headers, _),) = one.requests
        assert headers["host"] == f"name.example:{one.port}"
        with pytest.raises(Refused):
            await caller(now_s, network).send(outgoing(f"http://name.example:{one.port}/", now_s))
    assert one.connections == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
async def test_the_name_is_kept_although_an_address_is_connected_to(now_s: float, tmp_path: Path) -> None:
    """TLS asks for the URL's name and believes only a certificate for it, whatever address it was looked up to."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=name.example", "-addext", "subjectAltName=DNS:name.example"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-days", "2", "-keyout", str(key), "-out", str(certificate), *subject]  # fmt: skip
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(certificate, key)
    asked: list[str | None] = []
    theirs.sni_callback = lambda _, name, __: asked.append(name)
    ours = ssl.create_default_context(cafile=str(certificate))
    network = GuardedNetwork(local=True, resolve=resolver(["127.0.0.1"]))
    async with receiver(tls=theirs) as one:
        sender = WebhookCaller(LOCAL, SetClock(now_s), network, ours)
        await sender.send(outgoing(f"https://name.example:{one.port}/", now_s))
        with pytest.raises(Unreachable):
            await sender.send(outgoing(f"https://other.example:{one.port}/", now_s))
    assert asked == ["name.example", "other.example"]
    assert [headers["host"] for headers, _ in one.requests] == [f"name.example:{one.port}"]


async def test_a_redirect_is_not_followed(now_s: float) -> None:
    """302 to the inside is an answer like any other that is not 2xx."""
    async with receiver() as trap:
        head = f"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{trap.port}/\r\ncontent-length: 0\r\n\r\n"
        async with receiver(answer=head.encode()) as one:
            with pytest.raises(Unreachable, match="receiver_302"):
                await caller(now_s).send(outgoing(f"http://127.0.0.1:{one.port}/", now_s))
    assert (one.connections, trap.connections) == (1, 0)


async def test_a_body_without_end_is_read_no_further_than_it_is_worth(now_s: float) -> None:
    """64 KiB and what the sockets hold; the 200 before it counts."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 5000000000\r\n\r\n"
    async with receiver(answer=head, chunks=[b"x" * 65_536], for_ever=True) as one:
        await caller(now_s).send(outgoing(f"http://127.0.0.1:{one.port}/", now_s))
    assert one.sent_bytes < MOST_READ + 16 * 1024 * 1024


@pytest.mark.parametrize(
    "hostile",
    [
        Receiver(answer=b"HTTP/1.1 200 OK\r\n", chunks=[b"x"], pause_s=0.2, for_ever=True),
        Receiver(answer=b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n", chunks=[b"x"], pause_s=0.2, for_ever=True),
        Receiver(answer=b"", chunks=[b""], pause_s=0.2, for_ever=True),
    ],
    ids=["a byte at a time", "a body that drips", "silence"],
)
async def test_who_drips_or_is_silent_is_left(now_s: float, hostile: Receiver) -> None:
    """Fifteen seconds for all of it, not for each byte."""
    async with receiver() as one:
        one.answer, one.chunks, one.pause_s, one.for_ever = hostile.answer, hostile.chunks, 0.2, True
        with pytest.raises(Unreachable, match="timeout"):
            await caller(now_s).send(outgoing(f"http://127.0.0.1:{one.port}/", now_s))


async def test_who_lets_calls_hang_fills_no_more_slots(now_s: float) -> None:
    """After the third in a row nobody waits for it for five minutes, and one answer makes up for it."""
    async with receiver(answer=b"", chunks=[b""], pause_s=0.2, for_ever=True) as one, receiver() as other:
        sender = caller(now_s)
        assert isinstance(sender._clock, FastClock)
        hanging = outgoing(f"http://127.0.0.1:{one.port}/", now_s)
        for _ in range(MOST_HANGING):
            with pytest.raises(Unreachable, match="timeout"):
                await sender.send(hanging)
        with pytest.raises(Unreachable, match="left_alone"):
            await sender.send(hanging)
        await sender.send(outgoing(f"http://127.0.0.1:{other.port}/", now_s))
        assert (one.connections, other.connections) == (MOST_HANGING, 1)
        sender._clock.now_s += LEFT_ALONE_S
        with pytest.raises(Unreachable, match="timeout"):
            await sender.send(hanging)
        sender._clock.now_s += LEFT_ALONE_S
        one.answer, one.for_ever = b"HTTP/1.1 204 No Content\r\n\r\n", False
        await sender.send(hanging)
        one.answer, one.for_ever = b"", True
        with pytest.raises(Unreachable, match="timeout"):
            await sender.send(hanging)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: %s\r\n" % (n, b"y" * 1000) for n in range(1000)) + b"\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"220 mail.example ESMTP\r\n",
        b"",
    ],
    ids=["a thousand headers", "no status", "another protocol", "a closed door"],
)
async def test_what_is_no_answer_is_tried_again(now_s: float, answer: bytes) -> None:
    """It ends the call and nothing else."""
    async with receiver(answer=answer) as one:
        with pytest.raises(Unreachable, match="no_answer"):
            await caller(now_s).send(outgoing(f"http://127.0.0.1:{one.port}/", now_s))


async def test_nobody_there_is_tried_again(now_s: float) -> None:
    """A refused connection, and a name that is not known."""

    async def unknown(_: str, __: int) -> list[str]:
        raise OSError("name not known")

    async with receiver() as one:
        port = one.port
    with pytest.raises(Unreachable, match="no_connection"):
        await caller(now_s).send(outgoing(f"http://127.0.0.1:{port}/", now_s))
    with pytest.raises(Unreachable, match="no_connection"):
        await caller(now_s, GuardedNetwork(local=True, resolve=unknown)).send(outgoing("http://name.example/", now_s))


async def test_a_url_changed_in_the_store_is_looked_at_again(firm: Firm, parts: Parts) -> None:
    """What is forbidden at sending fails for good, however it got there."""
    await add(firm, "https://10.0.0.1/")
    await book(firm, phone=None, email=None)
    closed = replace(parts, channels={Channel.webhook: WebhookCaller(Settings(), parts.clock)})
    await send_owed(closed, firm)
    assert (await standings(firm))["booked webhook"] == ("failed", "forbidden_address")
