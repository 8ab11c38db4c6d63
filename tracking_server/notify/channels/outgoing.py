"""What a channel is given, and what it may answer: the same for mail servers, SMS gateways and webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


class Refused(Exception):
    """It will never be taken. The reason names nobody. `opted_out`: its recipient told the provider to stop."""

    def __init__(self, reason: str, *, opted_out: bool = False, receiver_gone: bool = False) -> None:
        super().__init__(reason)
        self.opted_out = opted_out
        self.receiver_gone = receiver_gone


class Unreachable(Exception):
    """It was not taken, or nobody knows (`in_the_dark`): to be sent again under the same key. The reason names nobody.

    `retry_after_s` is how long the other side asked to be left alone.
    """

    def __init__(self, reason: str, *, in_the_dark: bool = False, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.in_the_dark = in_the_dark
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message for one recipient, in words. `key` is the same for each try, so that a provider takes it once."""

    organisation_id: UUID
    message_id: UUID
    key: str
    recipient: str
    sender: str
    subject: str
    body: str
    language: str
    at_s: float
    unsubscribe_url: str = ""
    secret: str = ""

    @property
    def reference(self) -> str:
        """What a provider's receipt gives back: whose message, which, and which sending of it."""
        return f"{self.organisation_id.hex}.{self.message_id.hex}.{self.key.partition('.')[2] or '0'}"


class ChannelSends(Protocol):
    """A way to somebody. `keeps_keys`: it takes a key twice as one message."""

    keeps_keys: bool

    async def send(self, outgoing: Outgoing) -> None:
        """Returns when the other side has taken it; raises `Refused` or `Unreachable`."""
        ...


def retry_after_s(value: str | None) -> float:
    """What a Retry-After header asks for, in seconds; 0 when it asks for nothing that can be read."""
    text = (value or "").strip()
    return float(min(int(text), 86_400)) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0
