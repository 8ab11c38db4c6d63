"""The ways a message travels, one file each."""

from __future__ import annotations

from tracking_server.clock import Clock
from tracking_server.domain.message import Channel
from tracking_server.notify.channels.email import mailer_from
from tracking_server.notify.channels.outgoing import ChannelSends
from tracking_server.notify.channels.sms import gateway_from
from tracking_server.notify.channels.webhook import WebhookCaller
from tracking_server.settings import Settings


def channels_from(settings: Settings, clock: Clock) -> dict[Channel, ChannelSends]:
    """What is configured; webhooks need nothing."""
    channels: dict[Channel, ChannelSends | None] = {
        Channel.email: mailer_from(settings),
        Channel.sms: gateway_from(settings, clock),
        Channel.webhook: WebhookCaller(settings, clock),
    }
    return {name: channel for name, channel in channels.items() if channel is not None}
