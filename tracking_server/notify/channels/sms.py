"""Short messages over HTTP: Twilio's way, and a plain JSON one for any other gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx

from tracking_server.clock import Clock
from tracking_server.notify.channels.outgoing import ChannelSends, Outgoing, Refused, Unreachable, retry_after_s
from tracking_server.settings import Settings, SmsGateway

ANSWER_WITHIN_S = 15.0
MOST_CONNECTIONS = 8
NOT_ABOUT_THE_MESSAGE = frozenset({401, 402, 403, 404, 405, 408, 409, 423, 425, 429})  # the account, the address, load
TWILIO_OPTED_OUT = 21610


class Twilio:
    """`POST /2010-04-01/Accounts/<account>/Messages.json`, a form. It knows no idempotency key."""

    keeps_keys = False

    def __init__(self, settings: Settings, clock: Clock, client: httpx.AsyncClient) -> None:
        self._clock = clock
        self._client = client
        self._url = f"{settings.sms_url}/2010-04-01/Accounts/{settings.sms_account}/Messages.json"
        self._auth = httpx.BasicAuth(settings.sms_account, settings.sms_token.get_secret_value())
        self._receipts_url = f"{settings.public_url}/hooks/sms/twilio?message="

    async def send(self, outgoing: Outgoing) -> None:
        """Returns when the gateway has taken it; raises `Refused` or `Unreachable`."""
        form = {
            "To": outgoing.recipient,
            "From": outgoing.sender,
            "Body": outgoing.body,
            "StatusCallback": self._receipts_url + outgoing.reference,
        }
        async with _asking(self._clock):
            answer = await self._client.post(self._url, data=form, auth=self._auth)
        if answer.status_code == 400:
            code = _code_of(answer)
            raise Refused(f"refused_{code}", opted_out=code == TWILIO_OPTED_OUT)
        _judge(answer)


class PlainGateway:
    """One JSON document a message, a bearer token, and an Idempotency-Key: what most gateways can be given."""

    keeps_keys = True

    def __init__(self, settings: Settings, clock: Clock, client: httpx.AsyncClient) -> None:
        self._clock = clock
        self._client = client
        self._url = settings.sms_url
        self._token = settings.sms_token

    async def send(self, outgoing: Outgoing) -> None:
        """Returns when the gateway has taken it; raises `Refused` or `Unreachable`."""
        document = {
            "to": outgoing.recipient,
            "from": outgoing.sender,
            "text": outgoing.body,
            "reference": outgoing.reference,
        }
        headers = {
            "authorization": f"Bearer {self._token.get_secret_value()}",
            "idempotency-key": outgoing.key,
        }
        async with _asking(self._clock):
            answer = await self._client.post(self._url, json=document, headers=headers)
        _judge(answer)


def gateway_from(settings: Settings, clock: Clock) -> ChannelSends | None:
    """None when no SMS gateway is configured."""
    limits = httpx.Limits(max_connections=MOST_CONNECTIONS)
    match settings.sms_gateway:
        case SmsGateway.twilio:
            return Twilio(settings, clock, httpx.AsyncClient(timeout=None, limits=limits))  # noqa: S113 (see _asking)
        case SmsGateway.http:
            return PlainGateway(settings, clock, httpx.AsyncClient(timeout=None, limits=limits))  # noqa: S113
    return None


@contextlib.asynccontextmanager
async def _asking(clock: Clock) -> AsyncIterator[None]:
    """What goes wrong on the way leaves in the dark whether the gateway took it, unless there was no connection."""
    try:
        async with asyncio.timeout(clock.real_s(ANSWER_WITHIN_S)):
            yield
    except TimeoutError:
        raise Unreachable("timeout", in_the_dark=True) from None
    except (httpx.ConnectError, httpx.UnsupportedProtocol):
        raise Unreachable("no_connection") from None
    except httpx.HTTPError:
        raise Unreachable("no_answer", in_the_dark=True) from None


def _judge(answer: httpx.Response) -> None:
    status = answer.status_code
    if 200 <= status < 300:
        return
    if 400 <= status < 500 and status not in NOT_ABOUT_THE_MESSAGE:
        raise Refused(f"refused_{status}")
    raise Unreachable(
        f"gateway_{status}", in_the_dark=status >= 500, retry_after_s=retry_after_s(answer.headers.get("retry-after"))
    )


def _code_of(answer: httpx.Response) -> int:
    """Twilio's own number for what is wrong."""
    try:
        document: Any = answer.json()
    except ValueError:
        return answer.status_code
    code = document.get("code") if isinstance(document, dict) else None
    return code if isinstance(code, int) else answer.status_code
