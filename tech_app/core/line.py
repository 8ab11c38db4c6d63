"""What a way to the service promises, whatever it is made of, and what can go wrong on it."""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import dataclass
from typing import Protocol

from tech_app.core.outbox import Batch

# Shorter bodies gain nothing from compression. A batch of fixes shrinks to 25-35 bytes a fix.
COMPRESS_OVER_BYTES = 1_000
ANSWER_WITHIN_S = 20.0
CONNECT_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service said to a batch: ranges of numbers that it has, and its verdicts by number.

    `unreadable` says why it could make nothing of the body, which it has kept as it came.
    """

    ack: tuple[tuple[int, int], ...]
    verdicts: dict[int, str]
    server_s: float
    unreadable: str | None = None


class Line(Protocol):
    """A way to the service, for one batch at a time."""

    async def exchange(self, batch: Batch) -> Answer:
        """Send a batch and wait for the answer. Raises `NoWay`, `NotNow`, `TooMuch` or `Unpaired`."""
        ...

    async def close(self) -> None:
        """Give the connection up; the next exchange opens another."""
        ...


class NoWay(Exception):
    """This way to the service is closed: another may be open."""


class NotNow(Exception):
    """The service did not take it: send it again, not before `retry_after_s` when it said so."""

    def __init__(self, what: str, retry_after_s: float | None = None) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s


class TooMuch(Exception):
    """The batch is too large for the service: send less at a time."""


class Unpaired(Exception):
    """The service does not know this phone any more: pair it again."""


def refusal(status: int, what: str, retry_after: str | None) -> Exception:
    """What an HTTP status other than success means here. 403 is what firewalls say, and services without a stream."""
    match status:
        case 401:
            return Unpaired(what)
        case 413:
            return TooMuch(what)
    return NotNow(f"the service answered {status}: {what[:200]}", read_retry_after(retry_after))


def read_retry_after(value: str | None) -> float | None:
    """Seconds; a date in its place is taken for no value, since only the seconds need no right clock."""
    return float(value) if value is not None and value.strip().isdecimal() else None


def compressed(body: str) -> bytes | None:
    """The body as gzip, None when it is short."""
    plain = body.encode()
    return gzip.compress(plain, compresslevel=6) if len(plain) > COMPRESS_OVER_BYTES else None


def read_answer(text: str | bytes) -> Answer:
    """Raises `NotNow` on anything but an answer, such as the page of a hotel's network."""
    try:
        said = json.loads(text)
        ack = tuple((int(first), int(last)) for first, last in said["ack"])
        verdicts = {int(seq): str(verdict) for seq, verdict in said["verdicts"].items()}
        server_s = float(said["server_time"])
        if not math.isfinite(server_s):
            raise ValueError(server_s)
        return Answer(ack, verdicts, server_s, said.get("unreadable"))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise NotNow(f"this is no answer of the service ({error!r})") from error
