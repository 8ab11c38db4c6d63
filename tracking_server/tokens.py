"""Secrets that name their organisation: `<organisation>.<secret>`, kept only as a hash with its purpose.

The organisation comes first so that it can be set before the look-up: row security then applies to the look-up too.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from enum import StrEnum
from uuid import UUID

SECRET_BYTES = 32
CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # nothing that is misread on a screen
CODE_LENGTH = 8  # 31^8 = 8.5e11, for ten minutes


class Purpose(StrEnum):
    """What a secret opens. It is part of the hash, so that no secret works in another's place."""

    device = "device"
    link = "link"
    pairing = "pairing"
    session = "session"
    invite = "invite"
    setup = "setup"


def mint(organisation_id: UUID, purpose: Purpose) -> tuple[str, bytes]:
    """A new token and the hash to keep."""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    prefix = base64.urlsafe_b64encode(organisation_id.bytes).rstrip(b"=").decode()
    return f"{prefix}.{secret}", digest(secret, purpose)


def parse(token: str, purpose: Purpose) -> tuple[UUID, bytes] | None:
    """The organisation and the hash to look up, None when it cannot be a token."""
    prefix, dot, secret = token.partition(".")
    if not dot or len(prefix) != 22 or not 20 <= len(secret) <= 64 or not token.isascii():
        return None
    try:
        organisation_id = UUID(bytes=base64.b64decode(prefix + "==", altchars=b"-_", validate=True))
    except ValueError:
        return None
    return organisation_id, digest(secret, purpose)


def mint_bare(purpose: Purpose) -> tuple[str, bytes]:
    """A token that names no organisation, and the hash to keep: there may be none yet."""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    return secret, digest(secret, purpose)


def mint_code() -> tuple[str, bytes]:
    """A pairing code for typing, and the hash to keep."""
    code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
    return code, digest(code, Purpose.pairing)


def normal_code(typed: str) -> str:
    """A typed pairing code as it was minted: upper case, without spaces and dashes."""
    return "".join(c for c in typed.upper() if c in CODE_ALPHABET)


def digest(secret: str, purpose: Purpose) -> bytes:
    """SHA-256 suffices for 256 random bits; a pairing code has 39, but lives ten minutes."""
    return hashlib.sha256(f"{purpose}:{secret}".encode()).digest()
