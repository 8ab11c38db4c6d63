"""A firm with an SMS gateway: its settings, a visit whose taps are heard, who calls back."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from starlette.applications import Starlette

from tests.support.clocks import SetClock
from tests.support.firm import Firm, Phone
from tests.support.gateway import Gateway
from tests.support.mail import MailSink
from tests.support.telling import send_owed, tune
from tracking_server.domain.events import TapKind
from tracking_server.embedded import Installation
from tracking_server.journey import Journey
from tracking_server.notify.callbacks import Callbacks
from tracking_server.notify.sender import Parts
from tracking_server.settings import Settings
from tracking_server.view_files import ViewFiles
from tracking_server.words import VIEW

SECRET = "whsec_" + base64.b64encode(b"an inbound secret of 32 bytes...").decode()
LISBON = ZoneInfo("Europe/Lisbon")


def settings_for(sms: Gateway, sink: MailSink, servers: Installation, database: str, kind: str) -> Settings:
    more = {"database_url": servers.app_url(database), "redis_url": servers.redis_url, "sms_inbound_secret": SECRET}
    return sink.settings(**sms.environment(kind), **more)


def client_of(parts: Parts) -> httpx.AsyncClient:
    """Somebody who calls back."""
    routes = Callbacks(parts.engine, parts.clock, parts.settings, ViewFiles(VIEW)).routes()
    transport = httpx.ASGITransport(Starlette(routes=routes))
    return httpx.AsyncClient(transport=transport, base_url="https://doorstep.example")


class Visit:
    """A technician whose taps the journey hears."""

    def __init__(self, journey: Journey, clock: SetClock, phone: Phone, job_id: Any) -> None:
        self.journey, self.clock, self.phone, self.job_id = journey, clock, phone, job_id

    async def tap(self, *kinds: TapKind) -> None:
        for kind in kinds:
            self.clock.now_s += 1
            job_id = None if kind is TapKind.shift_start else self.job_id
            taps = [self.phone.tap(self.clock.now_s, kind, job_id)]
            await self.journey.accept(self.phone.delivery(self.clock.now_s, taps=taps))


async def at_night(visit: Visit, firm: Firm, clock: SetClock, parts: Parts) -> None:
    """Quiet hours begin in this very minute, and Ana sets off."""
    await send_owed(parts, firm)
    local = datetime.fromtimestamp(clock.now_s, LISBON)
    begin, end = local.strftime("%H:%M"), (local + timedelta(minutes=40)).strftime("%H:%M")
    await tune(firm, quiet_from=begin, quiet_to=end)
    await visit.tap(TapKind.shift_start, TapKind.en_route)
    await send_owed(parts, firm)
