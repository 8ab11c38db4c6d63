"""A gateway, a mail server, and what is sent by them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.clocks import SetClock
from tests.support.firm import Firm
from tests.support.gateway import Gateway, gateway
from tests.support.mail import MailSink, mail_sink
from tests.support.sms import Visit, settings_for
from tests.support.telling import book
from tracking_server.embedded import Installation
from tracking_server.journey import Journey
from tracking_server.notify.channels import channels_from
from tracking_server.notify.sender import Parts
from tracking_server.settings import Settings


@pytest.fixture
async def sms() -> AsyncIterator[Gateway]:
    async with gateway(well_behaved=True) as one:
        yield one


@pytest.fixture
async def sink() -> AsyncIterator[MailSink]:
    async with mail_sink() as sink:
        yield sink


@pytest.fixture
def settings(sms: Gateway, sink: MailSink, servers: Installation, database: str) -> Settings:
    return settings_for(sms, sink, servers, database, "http")


@pytest.fixture
def parts(firm: Firm, clock: SetClock, settings: Settings) -> Parts:
    return Parts(firm.engine, clock, settings, channels_from(settings, clock))


@pytest.fixture
def twilio(firm: Firm, clock: SetClock, sms: Gateway, sink: MailSink, servers: Installation, database: str) -> Parts:
    settings = settings_for(sms, sink, servers, database, "twilio")
    return Parts(firm.engine, clock, settings, channels_from(settings, clock))


@pytest.fixture
async def visit(journey: Journey, firm: Firm, clock: SetClock) -> Visit:
    phone = await firm.phone("Ana Sousa")
    return Visit(journey, clock, phone, await book(firm, phone.device.technician_id))
