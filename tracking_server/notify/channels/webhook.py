"""Webhooks: what happened, signed as Standard Webhooks says, to an address that the firm chose."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime

import httpcore
from standardwebhooks import Webhook

from tracking_server.clock import Clock
from tracking_server.notify.channels.outbound import Forbidden, GuardedNetwork, check_url
from tracking_server.notify.channels.outgoing import Outgoing, Refused, Unreachable, retry_after_s
from tracking_server.settings import Settings

WITHIN_S = 15.0  # the whole exchange: name, connection, TLS, answer
MOST_READ = 64 * 1024  # bytes of an answer that says nothing to us
GONE = 410
MOST_HANGING = 3  # calls in a row that ended without an answer; then a receiver is left alone,
LEFT_ALONE_S = 300.0  # so that the slots it would fill are there for other firms' receivers


class WebhookCaller:
    """Calls receivers, one connection each: what a firm's server does to a connection concerns no other firm."""

    keeps_keys = True  # webhook-id, by which receivers drop repetitions

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        network: GuardedNetwork | None = None,
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        self._clock = clock
        self._trusted = trusted or ssl.create_default_context()  # read once: it takes longer than a call
        self._local = settings.webhooks_local
        self._network = network or GuardedNetwork(local=self._local)
        self._hanging: dict[str, tuple[int, float]] = {}  # by URL: how often in a row, and when last

    async def send(self, outgoing: Outgoing) -> None:
        """Returns on any 2xx answer; raises `Refused` or `Unreachable`, also for a redirect. Its body is not kept.

        A receiver that let several calls hang is not called for a while: it is `Unreachable` at once.
        """
        times, last_s = self._hanging.get(outgoing.recipient, (0, 0.0))
        if times >= MOST_HANGING and 0 <= self._clock.now() - last_s < LEFT_ALONE_S:
            raise Unreachable("left_alone")
        try:
            url = check_url(outgoing.recipient, local=self._local)
            async with asyncio.timeout(self._clock.real_s(WITHIN_S)):
                status, after = await self._call(url, outgoing)
        except Forbidden:
            raise Refused("forbidden_address") from None
        except TimeoutError:
            times, _ = self._hanging.get(outgoing.recipient, (0, 0.0))  # others may have hung meanwhile
            self._hanging[outgoing.recipient] = times + 1, self._clock.now()
            raise Unreachable("timeout", in_the_dark=True) from None
        except httpcore.ConnectError:
            raise Unreachable("no_connection") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError):
            raise Unreachable("no_answer", in_the_dark=True) from None
        self._hanging.pop(outgoing.recipient, None)
        if status == GONE:
            raise Refused("receiver_gone", receiver_gone=True)
        if not 200 <= status < 300:
            raise Unreachable(f"receiver_{status}", retry_after_s=retry_after_s(after))

    async def _call(self, url: str, outgoing: Outgoing) -> tuple[int, str | None]:
        """The status and Retry-After of the answer, read no further than `MOST_READ`."""
        sent_at = datetime.fromtimestamp(outgoing.at_s, UTC)
        headers = {
            "content-type": "application/json",
            "user-agent": "Doorstep",
            "webhook-id": outgoing.key,
            "webhook-timestamp": str(int(outgoing.at_s)),
            "webhook-signature": Webhook(outgoing.secret).sign(outgoing.key, sent_at, outgoing.body),
        }
        async with (
            httpcore.AsyncConnectionPool(self._trusted, network_backend=self._network, max_connections=1) as pool,
            pool.stream("POST", url, headers=list(headers.items()), content=outgoing.body.encode()) as answer,
        ):
            read = 0
            async for chunk in answer.aiter_stream():
                read += len(chunk)
                if read > MOST_READ:
                    break
            after = next((value for name, value in answer.headers if name.lower() == b"retry-after"), None)
            return answer.status, after.decode("ascii", "replace") if after else None
