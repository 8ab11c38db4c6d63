"""What staff can do with accounts: set up, join, sign in, change a password, leave. Raises `Refused` with a reason."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tracking_server import tokens
from tracking_server.accounts import passwords
from tracking_server.accounts.tries import Tries
from tracking_server.clock import Clock
from tracking_server.domain.role import Role
from tracking_server.store import accounts as store
from tracking_server.store import people as people_store
from tracking_server.store.accounts import Invite, Session, SetupToken, Staff
from tracking_server.store.engine import begin, set_organisation, transaction, watching
from tracking_server.store.looks import Looks

log = structlog.get_logger()
SETUP_LIFE_S = 86_400.0
INVITE_LIFE_S = 7 * 86_400.0
IDLE_S = 12 * 3_600.0
SESSION_LIFE_S = 30 * 86_400.0
TOUCH_EVERY_S = 300.0  # a session's last use is known this exactly; no write per request
EMAIL = re.compile(r"[^@\s\"<>(),;:\\\[\]]{1,64}@[^@\s\"<>(),;:\\\[\]]{1,190}")
LONGEST_NAME = 100


class Refused(Exception):
    """It cannot be done; the reason is a word that the page makes a sentence of."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class NewStaff:
    """What somebody says who gets an account."""

    name: str
    email: str
    password: str
    language: str


@dataclass(frozen=True, slots=True)
class NewOrganisation:
    """What the first owner says about the firm."""

    name: str
    time_zone: str
    office_phone: str | None


def normal_email(typed: str) -> str:
    """An address as it is kept and compared. Raises `Refused`."""
    email = unicodedata.normalize("NFC", typed).strip().lower()
    if not EMAIL.fullmatch(email) or not email.isprintable():
        raise Refused("email")
    return email


def normal_name(typed: str) -> str:
    """A name without what does not show. Raises `Refused`."""
    name = " ".join(unicodedata.normalize("NFC", typed).split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise Refused("name")
    return name


async def anybody(engine: AsyncEngine) -> bool:
    """Whether there is somebody who can sign in."""
    async with watching(engine) as connection:
        return await store.anybody(connection)


async def mint_setup_token(engine: AsyncEngine, organisation_id: UUID | None, now_s: float) -> str:
    """The right to be the first owner, once, for a day; returns the token, which is kept nowhere."""
    token, token_hash = tokens.mint_bare(tokens.Purpose.setup)
    async with begin(engine) as connection:
        await store.insert_setup_token(connection, token_hash, organisation_id, now_s, now_s + SETUP_LIFE_S)
    return token


class People:
    """Everything about accounts that the pages ask for."""

    def __init__(self, engine: AsyncEngine, tries: Tries, clock: Clock) -> None:
        self._engine = engine
        self._tries = tries
        self._clock = clock
        self._sessions: Looks[bytes, Session] = Looks(self._look)

    async def setup(self, token: str, address: str) -> SetupToken:
        """What a set-up token opens. Raises `Refused` (`many`, `gone`)."""
        if not await self._tries.code(address):
            raise Refused("many")
        async with begin(self._engine) as connection:
            found = await store.find_setup_token(
                connection, tokens.digest(token, tokens.Purpose.setup), self._clock.now()
            )
        if found is None:
            raise Refused("gone")
        return found

    async def set_up(self, token: SetupToken, firm: NewOrganisation | None, new: NewStaff) -> str:
        """Make the first owner, and the organisation when the token names none; returns a session's token."""
        email, name, hashed = await _checked(new)
        now_s = self._clock.now()
        async with begin(self._engine) as connection:
            if not await store.use_setup_token(connection, token.token_hash, now_s):
                raise Refused("gone")
            organisation_id = token.organisation_id
            if organisation_id is None:
                if firm is None:
                    raise Refused("firm")
                organisation_id = await people_store.insert_organisation(
                    connection,
                    name=normal_name(firm.name),
                    time_zone=firm.time_zone,
                    language=new.language,
                    office_phone=firm.office_phone,
                    now_s=now_s,
                )
            await set_organisation(connection, organisation_id)
            return await _join(
                connection, organisation_id, email, name, Role.owner, new.language, hashed, "set_up", now_s
            )

    async def invite(self, by: Staff, typed_email: str, role: Role) -> str:
        """Offer somebody an account; returns the invite's token, which is kept nowhere."""
        email = normal_email(typed_email)
        token, token_hash = tokens.mint(by.organisation_id, tokens.Purpose.invite)
        now_s = self._clock.now()
        async with transaction(self._engine, by.organisation_id) as connection:
            if any(staff.email == email for staff in await store.read_staff(connection, by.organisation_id)):
                raise Refused("taken")
            await store.insert_invite(
                connection,
                by.organisation_id,
                made_by=by.id,
                token_hash=token_hash,
                email=email,
                role=role,
                now_s=now_s,
                expires_s=now_s + INVITE_LIFE_S,
            )
            await _note(connection, by, "invited", now_s, role=role.value)
        return token

    async def invited(self, token: str, address: str) -> Invite:
        """The offer behind a token. Raises `Refused` (`many`, `gone`)."""
        if not await self._tries.code(address):
            raise Refused("many")
        parsed = tokens.parse(token, tokens.Purpose.invite)
        if parsed is None:
            raise Refused("gone")
        organisation_id, token_hash = parsed
        async with transaction(self._engine, organisation_id) as connection:
            found = await store.find_invite(connection, organisation_id, token_hash, self._clock.now())
        if found is None:
            raise Refused("gone")
        return found

    async def join(self, invite: Invite, name: str, password: str, language: str) -> str:
        """Take up an offer; returns a session's token."""
        email, name, hashed = await _checked(NewStaff(name, invite.email, password, language))
        now_s = self._clock.now()
        async with transaction(self._engine, invite.organisation_id) as connection:
            if not await store.use_invite(connection, invite.organisation_id, invite.id, now_s):
                raise Refused("gone")
            return await _join(
                connection, invite.organisation_id, email, name, invite.role, language, hashed, "joined", now_s
            )

    async def sign_in(self, typed_email: str, password: str, address: str, present: str) -> str:
        """A new session's token for the right password; the `present` session, if any, ends.

        Raises `Refused` (`many`, `wrong`); an unknown address costs the same work as a known one.
        """
        try:
            email = normal_email(typed_email)
        except Refused:
            email = ""
        if not await self._tries.sign_in(email, address):
            raise Refused("many")
        async with begin(self._engine) as connection:
            known = await store.find_by_email(connection, email)
        right = [staff for staff, hashed in known if await passwords.verify(hashed, password)]
        if not known:
            await passwords.verify(None, password)
        now_s = self._clock.now()
        for staff, _ in known:
            if staff not in right:
                async with transaction(self._engine, staff.organisation_id) as connection:
                    await _note(connection, staff, "sign_in_failed", now_s)
        if not right:
            log.info("sign_in_failed", known=bool(known))
            raise Refused("wrong")
        await self._tries.signed_in(email, address)
        staff = right[0]
        hashed = next(hashed for one, hashed in known if one == staff)
        fresh = await passwords.hash_password(password) if passwords.is_outdated(hashed) else None
        await self.sign_out(present)
        async with transaction(self._engine, staff.organisation_id) as connection:
            if fresh is not None:
                await store.save_password(connection, staff.organisation_id, staff.id, fresh)
            await store.forget_sessions(connection, staff.organisation_id, staff.id, now_s - SESSION_LIFE_S)
            await _note(connection, staff, "signed_in", now_s)
            return await _begin_session(connection, staff.organisation_id, staff.id, now_s)

    async def session(self, token: str) -> Session | None:
        """The live session of a token."""
        parsed = tokens.parse(token, tokens.Purpose.session)
        if parsed is None:
            return None
        organisation_id, token_hash = parsed
        now_s = self._clock.now()
        async with transaction(self._engine, organisation_id) as connection:
            found = await store.find_session(connection, organisation_id, token_hash)
            if found is None or now_s >= found.seen_s + IDLE_S or now_s >= found.begun_s + SESSION_LIFE_S:
                return None
            if now_s - found.seen_s > TOUCH_EVERY_S:
                await store.touch_session(connection, organisation_id, found.id, now_s)
        return found

    async def still(self, session: Session, token: str) -> bool:
        """Whether an open page's session lives on. Merely being open does not keep it alive."""
        parsed = tokens.parse(token, tokens.Purpose.session)
        if parsed is None:
            return False
        found, now_s = await self._sessions.find(*parsed), self._clock.now()
        return (
            found is not None
            and found.staff == session.staff
            and now_s < found.seen_s + IDLE_S
            and now_s < found.begun_s + SESSION_LIFE_S
        )

    async def _look(self, organisation_id: UUID, token_hashes: Collection[bytes]) -> dict[bytes, Session]:
        async with transaction(self._engine, organisation_id) as connection:
            return await store.find_sessions(connection, organisation_id, token_hashes)

    async def sign_out(self, token: str) -> None:
        """End the session in this browser, if it has one."""
        parsed = tokens.parse(token, tokens.Purpose.session)
        if parsed is not None:
            organisation_id, token_hash = parsed
            async with transaction(self._engine, organisation_id) as connection:
                await store.end_session(connection, organisation_id, token_hash, self._clock.now())

    async def sign_out_everywhere(self, staff: Staff) -> None:
        """End all their sessions."""
        now_s = self._clock.now()
        async with transaction(self._engine, staff.organisation_id) as connection:
            await store.end_sessions(connection, staff.organisation_id, staff.id, now_s)
            await _note(connection, staff, "signed_out_everywhere", now_s)

    async def change_password(self, staff: Staff, present: str, new: str, address: str) -> str:
        """Change it and end all sessions; returns the token of a new one for this browser."""
        if not await self._tries.sign_in(staff.email, address):
            raise Refused("many")
        async with transaction(self._engine, staff.organisation_id) as connection:
            hashed = await store.password_hash(connection, staff.organisation_id, staff.id)
        if not await passwords.verify(hashed, present):
            raise Refused("wrong")
        _check_password(new, staff.email)
        await self._tries.signed_in(staff.email, address)
        fresh = await passwords.hash_password(new)
        now_s = self._clock.now()
        async with transaction(self._engine, staff.organisation_id) as connection:
            await store.save_password(connection, staff.organisation_id, staff.id, fresh)
            await store.end_sessions(connection, staff.organisation_id, staff.id, now_s)
            await _note(connection, staff, "password_changed", now_s)
            return await _begin_session(connection, staff.organisation_id, staff.id, now_s)

    async def speak(self, staff: Staff, language: str) -> None:
        """The board in this language from now on."""
        async with transaction(self._engine, staff.organisation_id) as connection:
            await store.save_language(connection, staff.organisation_id, staff.id, language)

    async def colleagues(self, staff: Staff) -> list[Staff]:
        """Everybody with an account in the organisation."""
        async with transaction(self._engine, staff.organisation_id) as connection:
            return await store.read_staff(connection, staff.organisation_id)

    async def set_disabled(self, by: Staff, staff_id: UUID, *, disabled: bool) -> None:
        """Shut somebody out, or let them in again. Raises `Refused`: `self` for oneself, `nobody`."""
        if staff_id == by.id:
            raise Refused("self")
        now_s = self._clock.now()
        async with transaction(self._engine, by.organisation_id) as connection:
            if disabled:
                done = await store.disable(connection, by.organisation_id, staff_id, now_s)
            else:
                done = await store.enable(connection, by.organisation_id, staff_id)
            if not done:
                raise Refused("nobody")
            await _note(connection, by, "disabled" if disabled else "enabled", now_s, who=str(staff_id))


async def _checked(new: NewStaff) -> tuple[str, str, str]:
    """E-mail, name and password hash of a newcomer. Raises `Refused`."""
    email, name = normal_email(new.email), normal_name(new.name)
    _check_password(new.password, email)
    return email, name, await passwords.hash_password(new.password)


def _check_password(password: str, email: str) -> None:
    fault = passwords.fault(password, email)
    if fault is not None:
        raise Refused(f"password_{fault}")


async def _join(
    connection: AsyncConnection,
    organisation_id: UUID,
    email: str,
    name: str,
    role: Role,
    language: str,
    hashed: str,
    action: str,
    now_s: float,
) -> str:
    staff_id = await store.insert_staff(
        connection,
        organisation_id,
        email=email,
        name=name,
        role=role,
        language=language,
        password_hash=hashed,
        now_s=now_s,
    )
    if staff_id is None:
        raise Refused("taken")
    await store.write_audit(
        connection, organisation_id, actor=actor_of(staff_id), action=action, now_s=now_s, evidence={"role": role.value}
    )
    return await _begin_session(connection, organisation_id, staff_id, now_s)


async def _begin_session(connection: AsyncConnection, organisation_id: UUID, staff_id: UUID, now_s: float) -> str:
    token, token_hash = tokens.mint(organisation_id, tokens.Purpose.session)
    await store.insert_session(connection, organisation_id, staff_id, token_hash, now_s)
    return token


async def _note(connection: AsyncConnection, staff: Staff, action: str, now_s: float, **evidence: str) -> None:
    await store.write_audit(
        connection, staff.organisation_id, actor=actor_of(staff.id), action=action, now_s=now_s, evidence=evidence
    )


def actor_of(staff_id: UUID) -> str:
    """Who did it, as the audit names them."""
    return f"staff:{staff_id}"
