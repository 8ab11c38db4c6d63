"""What comes back from SMS providers and mailboxes: STOP and START, delivery receipts, one-click unsubscribing.

Everything here is signed or carries a link's secret; what is forged, stale or unreadable changes nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from functools import cache
from typing import Literal
from urllib.parse import parse_qsl
from uuid import UUID

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tracking_server import outcome, phone_numbers, tokens, words
from tracking_server.clock import Clock
from tracking_server.domain.colour import DEFAULT
from tracking_server.domain.sms import Answer, answer_of
from tracking_server.notify.channels.sms import TWILIO_OPTED_OUT
from tracking_server.notify.compose import language_of
from tracking_server.settings import Settings, SmsGateway
from tracking_server.store.engine import transaction, watching
from tracking_server.store.messages import note_receipt, read_message
from tracking_server.store.opt_outs import (
    EmailOwner,
    email_owner,
    hear_once,
    opt_in_to,
    opt_out_of,
    organisations_sending_from,
)
from tracking_server.view_files import ViewFiles, allowing_style

log = structlog.get_logger()
MOST_READ = 64 * 1024
REFERENCE = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{32})\.([0-9]{1,4})")
TWILIO_FINAL = {"delivered": False, "undelivered": True, "failed": True}  # whether it failed
PAGE_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'",
}


class Received(BaseModel):
    """A customer's SMS, as the plain gateway brings it."""

    class Data(BaseModel):
        sender: str = Field(alias="from")
        to: str
        text: str

    type: Literal["message.received"]
    data: Data


class Receipt(BaseModel):
    """What became of a message, as the plain gateway tells it."""

    class Data(BaseModel):
        reference: str
        code: str = ""

    type: Literal["message.delivered", "message.undelivered"]
    data: Data


class Callbacks:
    """The routes that providers and mail programs call."""

    def __init__(self, engine: AsyncEngine, clock: Clock, settings: Settings, view_files: ViewFiles) -> None:
        self._engine = engine
        self._clock = clock
        self._settings = settings
        self._view_files = view_files

    def routes(self) -> list[Route]:
        """To be put into the service."""
        return [
            Route("/hooks/sms/twilio", self.twilio, methods=["POST"]),
            Route("/hooks/sms/inbound", self.inbound, methods=["POST"]),
            Route("/u/{token}", self.unsubscribe, methods=["GET", "POST"]),
        ]

    async def twilio(self, request: Request) -> Response:
        """A customer's answer, or with `?message=` the receipt of one of ours. Signed over its URL and its fields."""
        raw = await read_body(request)
        try:
            fields = dict(parse_qsl(raw.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=100))
        except ValueError:
            return _refused("this is no form")
        query = f"?{request.url.query}" if request.url.query else ""
        url = f"{self._settings.public_url}/hooks/sms/twilio{query}"
        if not self._is_twilio(url, fields, request.headers.get("x-twilio-signature", "")):
            return _refused("the signature is not Twilio's")
        if (reference := request.query_params.get("message")) is not None:
            status, code = fields.get("MessageStatus", ""), fields.get("ErrorCode", "")
            if status in TWILIO_FINAL:
                await self._receipt(reference, failed=TWILIO_FINAL[status], code=code)
        else:
            sid = fields.get("MessageSid", "")
            await self._answered(fields.get("From", ""), fields.get("To", ""), fields.get("Body", ""), f"twilio {sid}")
        return Response("<Response/>", media_type="text/xml")

    def _is_twilio(self, url: str, fields: dict[str, str], signature: str) -> bool:
        if self._settings.sms_gateway is not SmsGateway.twilio:
            return False
        signed = url + "".join(name + fields[name] for name in sorted(fields))
        key = self._settings.sms_token.get_secret_value().encode()
        right = base64.b64encode(hmac.digest(key, signed.encode(), hashlib.sha1))
        return hmac.compare_digest(right, signature.encode("utf-8", "surrogateescape"))

    async def inbound(self, request: Request) -> Response:
        """The same for the plain gateway: Standard Webhooks, no older than five minutes."""
        raw = await read_body(request)
        secret = self._settings.sms_inbound_secret.get_secret_value()
        if not secret:
            return _refused("set DOORSTEP_SMS_INBOUND_SECRET to receive anything here")
        try:
            Webhook(secret).verify(raw, dict(request.headers), json_parse=False)
        except (WebhookVerificationError, ValueError):
            return _refused("the signature is missing, wrong or too old")
        try:
            received = Received.model_validate_json(raw)
        except ValidationError:
            received = None
        if received is not None:
            callback_id = f"inbound {request.headers['webhook-id']}"
            await self._answered(received.data.sender, received.data.to, received.data.text, callback_id)
            return JSONResponse({})
        try:
            receipt = Receipt.model_validate_json(raw)
        except ValidationError:
            return JSONResponse({"error": "neither message.received nor a receipt"}, status_code=422)
        failed = receipt.type == "message.undelivered"
        await self._receipt(receipt.data.reference, failed=failed, code=receipt.data.code)
        return JSONResponse({})

    async def _answered(self, sender: str, to: str, text: str, callback_id: str) -> None:
        """STOP and START hold for every firm that writes from the number that was answered."""
        answer = answer_of(text)
        number = phone_numbers.as_told(sender)
        if answer is None or not number.startswith("+"):
            return
        shared = phone_numbers.as_told(self._settings.sms_from)
        async with watching(self._engine) as connection:
            firms = await organisations_sending_from(connection, phone_numbers.as_told(to), shared)
        now_s = self._clock.now()
        for organisation_id in firms:
            async with transaction(self._engine, organisation_id) as connection:
                if not await hear_once(connection, organisation_id, callback_id, now_s):
                    continue
                if answer is Answer.stop:
                    await opt_out_of(connection, organisation_id, number, "sms", now_s)
                else:
                    await opt_in_to(connection, organisation_id, number)
        log.info("sms_answer", answer=answer.value, organisations=len(firms))

    async def _receipt(self, reference: str, *, failed: bool, code: str) -> None:
        """Note it once. A message that did not get there goes another way."""
        found = REFERENCE.fullmatch(reference)
        if found is None:
            return
        organisation_id, message_id, resends = UUID(found[1]), UUID(found[2]), int(found[3])
        now_s = self._clock.now()
        code = code if re.fullmatch(r"[A-Za-z0-9_]{1,20}", code) else ""
        said = "_".join(filter(None, ("undelivered", code))) if failed else "delivered"
        async with transaction(self._engine, organisation_id) as connection:
            news = await note_receipt(connection, organisation_id, message_id, resends, said, now_s, failed=failed)
            owing = await read_message(connection, organisation_id, message_id) if news and failed else None
            if owing is None:
                return
            if code == str(TWILIO_OPTED_OUT):
                await opt_out_of(connection, organisation_id, owing.message.recipient, "provider", now_s)
            else:
                await outcome.owe_next_way(connection, organisation_id, owing, now_s)

    async def unsubscribe(self, request: Request) -> Response:
        """GET asks, and changes nothing: mail scanners follow every link. POST does it (RFC 8058), also the way back.

        It works for as long as the link is kept, also when that opens nothing any more.
        """
        found = tokens.parse(request.path_params["token"], tokens.Purpose.link)
        owner = None
        if found is not None:
            async with transaction(self._engine, found[0]) as connection:
                owner = await email_owner(connection, *found)
        if found is None or owner is None:
            accepted = words.choose_language(None, request.headers.get("accept-language", ""))
            html = self._page(None, accepted, stopped=False)
            return HTMLResponse(html, status_code=410, headers=allowing_style(PAGE_HEADERS, html))
        stopped = owner.opted_out
        if request.method == "POST":
            stopped = b"again=" not in await read_body(request)
            async with transaction(self._engine, found[0]) as connection:
                if stopped:
                    await opt_out_of(connection, found[0], owner.email, "email", self._clock.now())
                else:
                    await opt_in_to(connection, found[0], owner.email)
        html = self._page(owner, language_of(owner.language), stopped=stopped)
        return HTMLResponse(html, headers=allowing_style(PAGE_HEADERS, html))

    def _page(self, owner: EmailOwner | None, language: str, *, stopped: bool) -> str:
        return (
            _environment(language)
            .get_template("unsubscribe.html")
            .render(
                language=language,
                direction=words.direction(language),
                firm=owner and owner.organisation_name,
                colour=(owner and owner.colour) or DEFAULT,
                stopped=stopped,
                url=self._view_files.url,
                style=self._view_files.style,
            )
        )


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(words.VIEW), autoescape=True, undefined=StrictUndefined, extensions=["jinja2.ext.i18n"]
    )
    environment.install_gettext_translations(words.catalogue(language), newstyle=True)  # type: ignore[attr-defined]
    return environment


async def read_body(request: Request) -> bytes:
    """The body, read no further than a callback can be long."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_READ:
                break
    except ClientDisconnect:
        return b""
    return body[:MOST_READ]


def _refused(why: str) -> Response:
    return JSONResponse({"error": why}, status_code=403)
