"""Everything the demo's firm sends, as it would arrive: a mail server, an SMS gateway, and a page that shows what came.

The real sender speaks to both over their real protocols. Nothing leaves this machine.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as SmtpSession
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tracking_server import words

HERE = Path(__file__).parent
MOST_KEPT = 300
GRACE_S = 1
HEARTBEAT_S = 15.0
FILES = {"sent.css": "text/css", "sent.js": "text/javascript"}
OWN = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
MAIL = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"


@dataclass(frozen=True, slots=True)
class Sent:
    """One message as it arrived; `key` is the same when it was sent twice."""

    number: int
    key: str
    way: str  # email or sms
    at_s: float
    sender: str
    recipient: str
    subject: str
    text: str
    html: str = ""
    language: str = "en"

    @property
    def direction(self) -> str:
        return words.direction(self.language)


@dataclass
class Mailbag:
    """What came, oldest first. `names` are people by their addresses and numbers."""

    names: Mapping[str, str]
    sent: list[Sent] = field(default_factory=list)
    last: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, **facts: str) -> None:
        """Keep a message, unless it is here already."""
        if any(one.key == facts["key"] for one in self.sent):
            return
        self.last += 1
        self.sent = [*self.sent[1 - MOST_KEPT :], Sent(self.last, at_s=time.time(), **facts)]
        async with self._news:
            self._news.notify_all()

    async def after(self, number: int) -> list[Sent]:
        """What is newer than this one, waiting for it at most `HEARTBEAT_S`."""
        try:
            async with asyncio.timeout(HEARTBEAT_S), self._news:
                await self._news.wait_for(lambda: self.last > number)
        except TimeoutError:
            return []
        return [one for one in self.sent if one.number > number]


class Postman:
    """Takes mails from the SMTP server."""

    def __init__(self, bag: Mailbag) -> None:
        self._bag = bag

    async def handle_DATA(self, server: SMTP, session: SmtpSession, envelope: Envelope) -> str:  # noqa: N802
        """aiosmtpd calls this with a whole mail."""
        assert isinstance(envelope.content, bytes)  # noqa: S101 (this server decodes nothing)
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)  # noqa: S101 (the policy makes it one)
        sender = mail["From"].addresses[0]
        await self._bag.take(
            key=str(mail["Message-ID"]),
            way="email",
            sender=f"{sender.display_name} <{sender.addr_spec}>",
            recipient=envelope.rcpt_tos[0],
            subject=str(mail["Subject"]),
            text=_part(mail, "plain"),
            html=_part(mail, "html"),
            language=words.choose_language(str(mail["Content-Language"] or "en"), ""),
        )
        return "250 OK"


def _part(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    return "" if part is None else str(part.get_content())


@dataclass(frozen=True)
class Viewer:
    """The page, and the SMS gateway beside it, which only who knows the token may use."""

    bag: Mailbag
    firm: str
    token: str

    def app(self) -> Starlette:
        """Everything that is asked of this port."""
        return Starlette(
            routes=[
                Route("/", self._page),
                Route("/updates", self._updates),
                Route("/mail/{number:int}", self._mail),
                Route("/sms", self._take_sms, methods=["POST"]),
                *(Route(f"/{name}", self._file) for name in FILES),
            ]
        )

    async def _page(self, _: Request) -> Response:
        html = _template("sent.html").render(
            sent=self.bag.sent[::-1], last=self.bag.last, names=self.bag.names, firm=self.firm
        )
        return HTMLResponse(html, headers=_headers(OWN))

    async def _updates(self, request: Request) -> Response:
        asked = request.headers.get("last-event-id") or request.query_params.get("after", "0")
        number = int(asked) if asked.isascii() and asked.isdigit() else 0
        headers = {**_headers(OWN), "cache-control": "no-store"}
        return StreamingResponse(self._stream(number), media_type="text/event-stream", headers=headers)

    async def _stream(self, number: int) -> AsyncIterator[str]:
        while True:
            new = await self.bag.after(number)
            for one in new:
                number = one.number
                html = _template("sent_one.html").render(one=one, names=self.bag.names)
                lines = "".join(f"data: {line}\n" for line in html.splitlines())
                yield f"id: {one.number}\n{lines}\n"
            if not new:
                yield ": still here\n\n"

    async def _mail(self, request: Request) -> Response:
        number = request.path_params["number"]
        found = next((one for one in self.bag.sent if one.number == number), None)
        if found is None or not found.html:
            return PlainTextResponse("there is no such mail", 404)
        html = found.html.replace("<head>", '<head><base target="_blank">', 1)
        return HTMLResponse(html, headers=_headers(MAIL))

    async def _take_sms(self, request: Request) -> Response:
        if not secrets.compare_digest(request.headers.get("authorization", ""), f"Bearer {self.token}"):
            return JSONResponse({"error": "who are you?"}, 401)
        told = await request.json()
        await self.bag.take(
            key=request.headers["idempotency-key"],
            way="sms",
            sender=told["from"],
            recipient=told["to"],
            subject="",
            text=told["text"],
            language=_language_of(told["text"]),
        )
        return JSONResponse({"taken": True}, 201)

    async def _file(self, request: Request) -> Response:
        name = request.url.path.removeprefix("/")
        return Response((HERE / name).read_bytes(), media_type=FILES[name], headers=_headers(OWN))


def _language_of(text: str) -> str:
    """An SMS does not say what it is written in; its letters do."""
    if any("\u0600" <= letter <= "\u06ff" for letter in text):
        return "ar"
    return "th" if any("\u0e00" <= letter <= "\u0e7f" for letter in text) else "en"


def _headers(policy: str) -> dict[str, str]:
    return {"content-security-policy": policy, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


LINK = re.compile(r"https?://[^\s<>\"]+")


def _linked(text: str) -> Markup:
    """A text whose addresses can be clicked, as in a mail program."""
    parts, end = [], 0
    for found in LINK.finditer(text):
        url = escape(found[0])
        parts += [
            escape(text[end : found.start()]),
            Markup('<a href="{}" target="_blank" dir="ltr">{}</a>').format(url, url),
        ]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


def _clock(at_s: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at_s))


_templates = Environment(
    loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_templates.filters |= {"linked": _linked, "clock": _clock}


def _template(name: str) -> Template:
    return _templates.get_template(name)


@asynccontextmanager
async def taking_mails(bag: Mailbag, listening: socket.socket) -> AsyncIterator[None]:
    """An SMTP server, for as long as the block lasts."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Postman(bag), hostname="localhost", ident="Doorstep demo", enable_SMTPUTF8=True, loop=loop),
        sock=listening,
    )
    try:
        yield
    finally:
        server.close()


@asynccontextmanager
async def showing(viewer: Viewer, listening: socket.socket) -> AsyncIterator[None]:
    """The page, for as long as the block lasts."""
    config = uvicorn.Config(
        viewer.app(), log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=GRACE_S,
        server_header=False,
    )  # fmt: skip
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """Leaves the signals to the demo."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
