"""What a kill test writes down: everything that was said and seen, in the order of one clock, and what was stored.

`at_s` is the machine's monotonic clock in seconds, which all its processes share; `..._epoch_s` is UTC as the service
tells it. `Begun` ties the two together. A history is kept as JSON, a record a line: a run can be judged again.

Digests: phone and store agree on what a fix says when the rounding of either is taken off. The phone sends hundredths
of a second, millionths of a degree, tenths of a metre and of a metre a second, whole degrees, metres and percent; the
store keeps its time on our clock, so that its skew is taken off again. `fix_digest` is given both in that form.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec

Ranges = tuple[tuple[int, int], ...]
DIGEST_CHARACTERS = 16
SHOWN = re.compile(r'data-showing="(\w+)" data-position="(\w+)"')
NAMED = re.compile(r'<p class="name"><bdi>([^<]*)</bdi>')


@dataclass(frozen=True, slots=True)
class Begun:
    """The first record: `at_s` and `epoch_s` are the same moment."""

    at_s: float
    epoch_s: float
    seed: int


@dataclass(frozen=True, slots=True)
class Paired:
    """A phone and whose it is. Names are different from technician to technician: pages show nothing else of them."""

    at_s: float
    device: str
    technician: str
    name: str


@dataclass(frozen=True, slots=True)
class Gen:
    """A fix is in the phone's outbox: told after the local commit. A phone that starts tells again what it holds."""

    at_s: float
    device: str
    stream: int
    seq: int
    digest: str
    time_s: float  # on the phone's clock
    lon: float
    lat: float


@dataclass(frozen=True, slots=True)
class Tapped:
    """The same of a tap."""

    at_s: float
    device: str
    stream: int
    seq: int
    digest: str
    kind: str
    job: str | None


@dataclass(frozen=True, slots=True)
class Sent:
    """A phone begins to send a batch; the numbers are those of its taps and fixes."""

    at_s: float
    device: str
    stream: int
    numbers: Ranges
    way: str


@dataclass(frozen=True, slots=True)
class Acked:
    """The service answered a batch: told before the phone forgets what is named."""

    at_s: float
    device: str
    stream: int
    numbers: Ranges
    verdicts: dict[int, str]


@dataclass(frozen=True, slots=True)
class PhoneStarted:
    """A process with these phones was started, again after a kill."""

    at_s: float
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Acted:
    """Somebody at the firm did something to a job or a link. `answered_s` is None when it is not known whether it was
    done, because the connection broke; `error` is why it was refused. `version` is the job's afterwards."""

    at_s: float
    answered_s: float | None
    what: str  # assign, cancel, undo, revoke
    job: str
    technician: str | None = None
    link: str | None = None
    version: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A subscriber asks for a link's stream for the `number`th time and is answered with `status`."""

    at_s: float
    subscriber: str
    link: str
    number: int
    status: int


@dataclass(frozen=True, slots=True)
class Heard:
    """One update of a stream. `showing` to `words` are what a status says, `lon` and `lat` what a position says."""

    at_s: float
    subscriber: str
    number: int
    name: str  # status, position, end
    job_version: int = 0
    technician_version: int = 0
    showing: str | None = None
    position: bool = False
    technician: str | None = None
    words: str | None = None
    lon: float | None = None
    lat: float | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """The stream broke or ended."""

    at_s: float
    subscriber: str
    number: int


@dataclass(frozen=True, slots=True)
class Asked:
    """The gateway was asked to send. `taken`: it accepted, whether or not anybody was told so."""

    at_s: float
    key: str
    to: str
    text: str
    mood: str
    taken: bool


@dataclass(frozen=True, slots=True)
class Killed:
    """`how` is `sigkill` or the name of the failpoint."""

    at_s: float
    victim: str
    how: str


@dataclass(frozen=True, slots=True)
class Back:
    """Whoever was killed at `killed_s` does its work again."""

    at_s: float
    victim: str
    killed_s: float


@dataclass(frozen=True, slots=True)
class Disturbed:
    """Something was stopped, slow or cut from `at_s` to `until_s`; what was on its way then may come later."""

    at_s: float
    until_s: float
    what: str


@dataclass(frozen=True, slots=True)
class RoundBegun:
    at_s: float
    number: int


@dataclass(frozen=True, slots=True)
class RoundEnded:
    """`emptied`: every outbox is empty. `settled`: no message is owed any more. The store was read after it."""

    at_s: float
    number: int
    emptied: bool
    settled: bool


class FixRow(NamedTuple):
    """A stored fix. `time_epoch_s` is on our clock."""

    device: str
    stream: int
    seq: int
    digest: str
    time_epoch_s: float
    received_epoch_s: float
    lon: float
    lat: float
    verdict: str | None
    skew_s: float = 0.0


class TapRow(NamedTuple):
    """A stored tap. `committed_epoch_s`, here and below, is when its transaction committed, if the store knows that."""

    device: str
    stream: int
    seq: int
    digest: str
    kind: str
    at_epoch_s: float
    committed_epoch_s: float
    verdict: str | None


class TechnicianRow(NamedTuple):
    technician: str
    version: int
    position_epoch_s: float | None
    lon: float | None
    lat: float | None
    shift: tuple[float, tuple[tuple[float, float | None], ...]] | None  # the open one: its start, its breaks


class JobRow(NamedTuple):
    job: str
    technician: str | None
    stop_number: int | None
    state: str
    previous_state: str | None
    version: int
    visit: int
    assignment: int
    promise: int
    late_promise: int
    promised: tuple[float, float] | None
    assigned_epoch_s: float | None
    en_route_epoch_s: float | None
    arriving_epoch_s: float | None
    arrived_epoch_s: float | None
    started_epoch_s: float | None
    ended_epoch_s: float | None
    time_zone: str


class EventRow(NamedTuple):
    id: int
    job: str
    version: int
    kind: str
    at_epoch_s: float
    recorded_epoch_s: float
    committed_epoch_s: float
    evidence: dict[str, Any]


class AuditRow(NamedTuple):
    id: int
    job: str
    action: str
    from_state: str
    to_state: str
    technician: str | None
    at_epoch_s: float


class MessageRow(NamedTuple):
    message: str
    job: str
    kind: str
    occasion: int
    channel: str
    recipient: str
    contact: str | None
    state: str
    reason: str | None
    about: dict[str, Any]
    expires_epoch_s: float | None
    settled_epoch_s: float | None
    tries: int
    resends: int


class LinkRow(NamedTuple):
    """`changed_epoch_s` is when the transaction that wrote it last committed: that of its revocation, if it has one."""

    link: str
    job: str
    contact: str
    created_epoch_s: float
    expires_epoch_s: float | None
    revoked_epoch_s: float | None
    changed_epoch_s: float


@dataclass(frozen=True, slots=True)
class Stored:
    """The database at the end of a round, as it was at `at_s` or a moment later.

    `fixes`, `taps`, `events` and `audits` are those that no earlier record holds, `messages` those that are new or were
    settled since, unless it is `whole`. The counts are of all rows: what is lost of earlier rounds shows in them.
    """

    at_s: float
    whole: bool
    technicians: tuple[TechnicianRow, ...] = ()
    jobs: tuple[JobRow, ...] = ()
    links: tuple[LinkRow, ...] = ()
    fixes: tuple[FixRow, ...] = ()
    taps: tuple[TapRow, ...] = ()
    counts: tuple[tuple[str, int, int], ...] = ()  # device, stream, fixes
    events: tuple[EventRow, ...] = ()
    event_count: int = 0
    audits: tuple[AuditRow, ...] = ()
    audit_count: int = 0
    messages: tuple[MessageRow, ...] = ()
    message_count: int = 0


Record = (
    Begun | Paired | Gen | Tapped | Sent | Acked | PhoneStarted | Acted | Opened | Heard | Closed | Asked
    | Killed | Back | Disturbed | RoundBegun | RoundEnded | Stored
)  # fmt: skip
KINDS = {kind.__name__: kind for kind in get_args(Record)}
_encoder = msgspec.json.Encoder()
_named = msgspec.json.Decoder(tuple[str, msgspec.Raw])
_decoders = {name: msgspec.json.Decoder(kind) for name, kind in KINDS.items()}


def encode(record: Record) -> bytes:
    """One line, its end included."""
    return _encoder.encode((type(record).__name__, record)) + b"\n"


def decode(line: bytes) -> Record:
    """The reverse. Raises `msgspec.DecodeError` on a line that was cut short by a kill."""
    name, body = _named.decode(line)
    record: Record = _decoders[name].decode(body)
    return record


def read(path: Path) -> Iterator[Record]:
    """The records of a file, in order."""
    with path.open("rb") as lines:
        for line in lines:
            yield decode(line)


def fix_digest(device: str, stream: int, seq: int, said: dict[str, Any]) -> str:
    """Of a fix as the phone writes it: the JSON object of its row in the outbox, or the same from the store's columns.

    The device is its id as 32 hexadecimal digits or with hyphens.
    """
    measured = (
        _rounded(said.get(name), places)
        for name, places in (
            ("time", 2), ("lat", 6), ("lon", 6), ("accuracy_m", 1), ("speed_mps", 1),
            ("course_deg", 0), ("altitude_m", 0), ("battery_pct", 0),
        )
    )  # fmt: skip
    return _digest(device, stream, seq, (*measured, "mock" if said.get("mock") else ""))


def tap_digest(device: str, stream: int, seq: int, said: dict[str, Any]) -> str:
    """Of a tap in the same form. Its time is left out: the store corrects it and keeps no skew beside it."""
    names = ("kind", "job", "reason", "text", "minutes")
    return _digest(device, stream, seq, ("" if said.get(name) is None else str(said[name]) for name in names))


def gen_of(at_s: float, device: str, stream: int, body: str) -> Gen | Tapped:
    """What to tell of a row of the outbox, from its JSON with the number in it."""
    said = json.loads(body)
    seq = said["seq"]
    if "kind" in said:
        digest = tap_digest(device, stream, seq, said)
        return Tapped(at_s, device, stream, seq, digest, said["kind"], said.get("job"))
    digest = fix_digest(device, stream, seq, said)
    return Gen(at_s, device, stream, seq, digest, said["time"], said["lon"], said["lat"])


def heard_of(at_s: float, subscriber: str, number: int, name: str, data: str, update_id: str) -> Heard:
    """What a server-sent event of a page says; not for pings, which say nothing."""
    job_version, _, technician_version = update_id.partition(".")
    if name == "end":
        return Heard(at_s, subscriber, number, name)
    heard = Heard(at_s, subscriber, number, name, int(job_version), int(technician_version))
    if name == "position":
        said = json.loads(data)
        return replace(heard, lon=said["lon"], lat=said["lat"])
    shown, named = SHOWN.search(data), NAMED.search(data)
    if shown is None:
        raise ValueError(f"this is no status: {data[:200]!r}")
    return replace(
        heard,
        showing=shown[1],
        position=shown[2] == "shown",
        technician=html.unescape(named[1]) if named else None,
        words=hashlib.sha256(data.encode()).hexdigest()[:DIGEST_CHARACTERS],
    )


def _digest(device: str, stream: int, seq: int, said: Iterable[str]) -> str:
    text = "|".join((device.replace("-", ""), str(stream), str(seq), *said))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARACTERS]


def _rounded(value: float | None, places: int) -> str:
    """Nothing for what was not said, and no minus before a zero."""
    return "" if value is None else f"{round(value, places) + 0.0:.{places}f}"
