"""Passwords: which are good enough, and how they are kept and checked."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 10  # characters; length is what makes a password hard to guess, kinds of characters do not
LONGEST = 200
AT_ONCE = 2  # hashing takes 64 MiB and a whole core: more at once only make each other slow

# What guessing begins with, among passwords that are long enough.
COMMON = frozenset((Path(__file__).parent / "common_passwords.txt").read_text().split())

_hasher = PasswordHasher()
_threads = ThreadPoolExecutor(AT_ONCE, "password")


def fault(password: str, email: str = "") -> str | None:
    """Why a password is not taken: `short`, `long`, `common`; None when it is good."""
    if len(password) < SHORTEST:
        return "short"
    if len(password) > LONGEST:
        return "long"
    plain = password.lower().strip()
    if plain in COMMON or len(set(plain)) < 3 or plain in (email, email.partition("@")[0]):
        return "common"
    return None


async def hash_password(password: str) -> str:
    """argon2id with the library's present parameters."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)


async def verify(hashed: str | None, password: str) -> bool:
    """Whether it is this password. Nobody's password (None) takes as long as somebody's."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _verify, hashed, password)


def is_outdated(hashed: str) -> bool:
    """Whether it was made with weaker parameters than are used now."""
    return _hasher.check_needs_rehash(hashed)


def _verify(hashed: str | None, password: str) -> bool:
    try:
        return _hasher.verify(hashed or _nobodys_hash(), password[: LONGEST + 1]) and hashed is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_urlsafe())
