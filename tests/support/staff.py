"""Somebody of the staff in a browser."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.firm import Firm
from tracking_server import tokens
from tracking_server.accounts.passwords import hash_password
from tracking_server.domain.role import Role
from tracking_server.store import accounts
from tracking_server.store.accounts import Staff
from tracking_server.store.engine import transaction

PASSWORD = "three plain words"
_hashes: dict[str, str] = {}


async def hire(
    firm: Firm, role: Role = Role.dispatcher, email: str = "", password: str = PASSWORD, language: str = "en"
) -> Staff:
    """Somebody with an account."""
    if password not in _hashes:
        _hashes[password] = await hash_password(password)
    email = email or f"{role}@ribeira.example"
    async with transaction(firm.engine, firm.organisation_id) as connection:
        await accounts.insert_staff(
            connection,
            firm.organisation_id,
            email=email,
            name=f"{role} Silva".title(),
            role=role,
            language=language,
            password_hash=_hashes[password],
            now_s=firm.now_s,
        )
        found = await accounts.read_staff(connection, firm.organisation_id)
    return next(staff for staff in found if staff.email == email)


async def begin_session(engine: AsyncEngine, staff: Staff, now_s: float) -> str:
    """A session's token, without the work of a password."""
    token, token_hash = tokens.mint(staff.organisation_id, tokens.Purpose.session)
    async with transaction(engine, staff.organisation_id) as connection:
        await accounts.insert_session(connection, staff.organisation_id, staff.id, token_hash, now_s)
    return token


def fresh_address() -> str:
    """An address that no other test has: tries are counted by address, in a Redis that all share."""
    return str(IPv6Address(uuid4().int))


class Browser:
    """Sends forms as a browser does: with its origin, and its cookies."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.origin = str(client.base_url).rstrip("/")

    def wear(self, token: str) -> None:
        """Take up a session."""
        self.client.cookies.clear()
        self.client.cookies.set("board", token, domain=self.client.base_url.host)

    @property
    def token(self) -> str:
        return self.client.cookies.get("board", "")

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.client.get(path, **options)

    async def post(self, path: str, **fields: str) -> httpx.Response:
        headers = {"origin": self.origin, "sec-fetch-site": "same-origin"}
        return await self.client.post(path, data=fields or {"_": ""}, headers=headers)

    async def sign_in(self, email: str, password: str = PASSWORD) -> httpx.Response:
        return await self.post("/board/sign-in", email=email, password=password)


def words_of(answer: httpx.Response) -> str:
    """What a page says, without its markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())
