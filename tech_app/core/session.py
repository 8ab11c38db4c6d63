"""Pairing a phone with a service, and the key that it gets.

The key lies in a file that only the app can read, sealed by the phone's keystore where there is one (`Seal`). The
outbox and the jobs beside it are not encrypted: whoever takes over the phone's system can read them, as they could read
the screen. The key can be revoked from the board in seconds.
"""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import json
import os
import ssl
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

CODE_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
SHORTEST_CODE, LONGEST_CODE = 8, 20
ANSWER_WITHIN_S = 15.0
MOST_ANSWER_BYTES = 10_000
MOST_EARLIER = 20


class Why(StrEnum):
    """Why a phone cannot be paired: for whoever says it in the technician's language."""

    address = "address"  # it is none
    unsafe = "unsafe"
    code = "code"  # not whole
    used = "used"  # or unknown, or too old
    unproved = "unproved"
    away = "away"
    later = "later"  # too many tries
    stranger = "stranger"  # another kind of service


class Refused(Exception):
    """The phone cannot be paired like this; the text says what to do."""

    def __init__(self, why: Why, what: str) -> None:
        super().__init__(what)
        self.why = why


@dataclass(frozen=True, slots=True)
class Invitation:
    """A service and a one-time code. `host` is what the technician is shown and asked about.

    `warning` says that what is sent could be read by others in the same network.
    """

    url: str
    host: str
    code: str
    warning: bool


@dataclass(frozen=True, slots=True)
class Session:
    """What a paired phone knows of itself; `name` is the technician's."""

    url: str
    device: str
    technician: str
    key: str
    name: str = ""
    firm: str = ""


def read_invitation(address: str, code: str = "") -> Invitation:
    """An invitation from a typed address and code, or from a QR code, which holds `https://host/#CODE`.

    Raises `Refused`.
    """
    address = address.strip()
    if not address.startswith(("https://", "http://")):
        if "://" in address:
            raise Refused(Why.address, "this is no address of a service: it begins with https://")
        address = f"https://{address}"
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise Refused(Why.address, "this is no address: ask the office for it") from error
    if not _is_sayable(host, parts.path) or parts.username is not None:
        raise Refused(Why.address, "this is no address: ask the office for it")
    code = "".join(sign for sign in (code or parts.fragment).upper() if sign in CODE_ALPHABET)
    if not SHORTEST_CODE <= len(code) <= LONGEST_CODE:
        raise Refused(Why.code, "the code is not whole: ask the office for a new one")
    plain = parts.scheme == "http"
    if plain and not is_private(host):
        raise Refused(Why.unsafe, f"{host} is not safe: its address has to begin with https://")
    shown = f"[{host}]" if ":" in host else host
    netloc = shown if port is None else f"{shown}:{port}"
    return Invitation(f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}", netloc, code, plain)


def _is_sayable(host: str, path: str) -> bool:
    """Whether a request can be made for it at all: neither empty labels nor long ones, no space, no control."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return bool(host) and (host + path).isprintable() and " " not in host + path and path.isascii()


def is_private(host: str) -> bool:
    """Whether a host is in the phone's own network by its address. A name can be made to mean anything."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_private and not address.is_unspecified


def tls() -> ssl.SSLContext:
    """Which certificates are trusted: the system's, or certifi's on Android, whose Python finds none."""
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        try:
            import certifi
        except ImportError:
            return context
        context.load_verify_locations(certifi.where())
    return context


async def pair(invitation: Invitation, phone_name: str, earlier: Sequence[Session] = ()) -> Session:
    """Exchange the code for a key. A phone that was paired with the same technician before stays the same device,
    and goes on with what it holds: `earlier` are its sessions, whose keys only their own service is told.

    Raises `Refused`.
    """
    return await asyncio.to_thread(_pair, invitation, phone_name, earlier)


def _pair(invitation: Invitation, phone_name: str, earlier: Sequence[Session]) -> Session:
    keys = [session.key for session in earlier if session.url == invitation.url][:MOST_EARLIER]
    said: dict[str, Any] = {"code": invitation.code, "name": phone_name[:100] or "phone"}
    body = json.dumps(said | ({"earlier_keys": keys} if keys else {}))
    parts = urlsplit(invitation.url)
    host = parts.hostname or ""
    connection = (
        http.client.HTTPConnection(host, parts.port, timeout=ANSWER_WITHIN_S)
        if parts.scheme == "http"
        else http.client.HTTPSConnection(host, parts.port, timeout=ANSWER_WITHIN_S, context=tls())
    )
    try:
        connection.request("POST", f"{parts.path}/v1/devices", body, {"content-type": "application/json"})
        response = connection.getresponse()
        status, answer = response.status, response.read(MOST_ANSWER_BYTES)
    except ssl.SSLCertVerificationError as error:
        raise Refused(
            Why.unproved, f"{invitation.host} cannot prove who it is: do not go on, and tell the office"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise Refused(Why.away, f"{invitation.host} does not answer: check the address and the network") from error
    finally:
        connection.close()
    if status in (404, 422):
        raise Refused(Why.used, "this code is unknown, used or older than ten minutes: ask the office for a new one")
    if status in (429, 503):
        raise Refused(Why.later, f"{invitation.host} has no time now: wait a few minutes, then try again")
    try:
        said = json.loads(answer)
        name, firm = str(said.get("technician_name", "")), str(said.get("organisation_name", ""))
        device = str(UUID(said["device"]))  # it names a folder
        return Session(invitation.url, device, said["technician"], said["key"], name, firm)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Refused(Why.stranger, f"{invitation.host} is no service of this kind (it answered {status})") from error


@dataclass(frozen=True, slots=True)
class Seal:
    """How the key is made unreadable at rest: by the phone's keystore where there is one, else not at all."""

    close: Callable[[bytes], bytes] = bytes
    open: Callable[[bytes], bytes] = bytes


NO_SEAL = Seal()


def save_session(path: Path, session: Session, seal: Seal = NO_SEAL) -> None:
    """Keep the session in a file of the app's own (0600): whole, or as it was before."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(seal.close(json.dumps(asdict(session)).encode()))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def load_session(path: Path, seal: Seal = NO_SEAL) -> Session | None:
    """The session that was kept; None when there is none, or none that can be read: the phone is paired again then."""
    try:
        return Session(**json.loads(seal.open(path.read_bytes())))
    except (OSError, ValueError, TypeError):
        return None


def forget_session(path: Path) -> None:
    """The phone is handed on, or its key was revoked."""
    path.unlink(missing_ok=True)
