"""Staff, their sessions, invites and set-up tokens."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.domain.role import Role
from tracking_server.store.engine import set_organisation, to_time
from tracking_server.store.schema import audit, invite, organisation, session, setup_token, staff


@dataclass(frozen=True, slots=True)
class Staff:
    """Somebody who works with the board."""

    organisation_id: UUID
    id: UUID
    email: str
    name: str
    role: Role
    language: str
    disabled: bool


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody signed in, in one browser. Times are epoch seconds."""

    id: UUID
    staff: Staff
    begun_s: float
    seen_s: float


@dataclass(frozen=True, slots=True)
class Invite:
    """An offer to join, not used and not expired."""

    id: UUID
    organisation_id: UUID
    organisation_name: str
    email: str
    role: Role


@dataclass(frozen=True, slots=True)
class SetupToken:
    """The right to be the first owner: of this organisation, or of a new one when there is none."""

    token_hash: bytes
    organisation_id: UUID | None
    organisation_name: str | None


def _staff(row: sa.Row[Any]) -> Staff:
    return Staff(
        row.organisation_id, row.id, row.email, row.name, Role(row.role), row.language, row.disabled_at is not None
    )


async def find_by_email(connection: AsyncConnection, email: str) -> list[tuple[Staff, str]]:
    """Everybody with this address, in every organisation, and their password hashes; disabled ones are left out.

    The presented address shows its rows before any organisation is known.
    """
    await connection.execute(sa.text("SELECT set_config('app.email', :email, true)"), {"email": email})
    rows = await connection.execute(
        sa.select(staff).where(staff.c.email == email, staff.c.disabled_at.is_(None)).order_by(staff.c.created_at)
    )
    return [(_staff(row), row.password_hash) for row in rows]


async def anybody(connection: AsyncConnection) -> bool:
    """Whether there is any staff at all; for a `watching` transaction."""
    return bool(await connection.scalar(sa.select(sa.exists(sa.select(staff.c.id)))))


async def read_staff(connection: AsyncConnection, organisation_id: UUID) -> list[Staff]:
    """The organisation's staff by name."""
    rows = await connection.execute(
        sa.select(staff).where(staff.c.organisation_id == organisation_id).order_by(staff.c.name, staff.c.id)
    )
    return [_staff(row) for row in rows]


async def insert_staff(
    connection: AsyncConnection,
    organisation_id: UUID,
    *,
    email: str,
    name: str,
    role: Role,
    language: str,
    password_hash: str,
    now_s: float,
) -> UUID | None:
    """Somebody new; None when the organisation has this address already."""
    statement = (
        insert(staff)
        .values(
            organisation_id=organisation_id,
            id=uuid4(),
            email=email,
            name=name,
            role=role.value,
            language=language,
            password_hash=password_hash,
            created_at=to_time(now_s),
        )
        .on_conflict_do_nothing()
        .returning(staff.c.id)
    )
    staff_id: UUID | None = await connection.scalar(statement)
    return staff_id


async def password_hash(connection: AsyncConnection, organisation_id: UUID, staff_id: UUID) -> str:
    """The hash that a password is checked against."""
    statement = sa.select(staff.c.password_hash).where(
        staff.c.organisation_id == organisation_id, staff.c.id == staff_id
    )
    return str(await connection.scalar(statement))


async def save_password(connection: AsyncConnection, organisation_id: UUID, staff_id: UUID, hashed: str) -> None:
    """From now on this password is theirs."""
    await connection.execute(
        staff.update()
        .where(staff.c.organisation_id == organisation_id, staff.c.id == staff_id)
        .values(password_hash=hashed)
    )


async def save_language(connection: AsyncConnection, organisation_id: UUID, staff_id: UUID, language: str) -> None:
    """What the board speaks to them."""
    await connection.execute(
        staff.update()
        .where(staff.c.organisation_id == organisation_id, staff.c.id == staff_id)
        .values(language=language)
    )


async def disable(connection: AsyncConnection, organisation_id: UUID, staff_id: UUID, now_s: float) -> bool:
    """They cannot sign in any more, and their sessions are over; says whether there was such a person."""
    disabled = await connection.execute(
        staff.update()
        .where(staff.c.organisation_id == organisation_id, staff.c.id == staff_id, staff.c.disabled_at.is_(None))
        .values(disabled_at=to_time(now_s))
    )
    await end_sessions(connection, organisation_id, staff_id, now_s)
    return disabled.rowcount == 1


async def enable(connection: AsyncConnection, organisation_id: UUID, staff_id: UUID) -> bool:
    """They may sign in again; says whether there was such a person."""
    enabled = await connection.execute(
        staff.update()
        .where(staff.c.organisation_id == organisation_id, staff.c.id == staff_id, staff.c.disabled_at.is_not(None))
        .values(disabled_at=None)
    )
    return enabled.rowcount == 1


async def insert_session(
    connection: AsyncConnection, organisation_id: UUID, staff_id: UUID, token_hash: bytes, now_s: float
) -> UUID:
    """Somebody signed in."""
    session_id = uuid4()
    await connection.execute(
        session.insert().values(
            organisation_id=organisation_id,
            id=session_id,
            staff_id=staff_id,
            token_hash=token_hash,
            begun_at=to_time(now_s),
            seen_at=to_time(now_s),
        )
    )
    return session_id


async def find_session(connection: AsyncConnection, organisation_id: UUID, token_hash: bytes) -> Session | None:
    """The session of a token, None when there is none, when it was ended and when its owner is disabled."""
    return (await find_sessions(connection, organisation_id, [token_hash])).get(token_hash)


async def find_sessions(
    connection: AsyncConnection, organisation_id: UUID, token_hashes: Collection[bytes]
) -> dict[bytes, Session]:
    """The sessions of tokens, in one statement for all of them."""
    rows = await connection.execute(
        sa.select(staff, session.c.id.label("session_id"), session.c.begun_at, session.c.seen_at, session.c.token_hash)
        .join(
            session,
            (session.c.organisation_id == staff.c.organisation_id) & (session.c.staff_id == staff.c.id),
        )
        .where(
            session.c.organisation_id == organisation_id,
            session.c.token_hash.in_(token_hashes),
            session.c.ended_at.is_(None),
            staff.c.disabled_at.is_(None),
        )
    )
    return {
        row.token_hash: Session(row.session_id, _staff(row), row.begun_at.timestamp(), row.seen_at.timestamp())
        for row in rows
    }


async def touch_session(connection: AsyncConnection, organisation_id: UUID, session_id: UUID, now_s: float) -> None:
    """It was used just now."""
    await connection.execute(
        session.update()
        .where(session.c.organisation_id == organisation_id, session.c.id == session_id)
        .values(seen_at=to_time(now_s))
    )


async def end_session(connection: AsyncConnection, organisation_id: UUID, token_hash: bytes, now_s: float) -> None:
    """Signed out in this browser."""
    await connection.execute(
        session.update()
        .where(
            session.c.organisation_id == organisation_id,
            session.c.token_hash == token_hash,
            session.c.ended_at.is_(None),
        )
        .values(ended_at=to_time(now_s))
    )


async def end_sessions(connection: AsyncConnection, organisation_id: UUID, staff_id: UUID, now_s: float) -> int:
    """Signed out everywhere; returns of how many browsers."""
    ended = await connection.execute(
        session.update()
        .where(
            session.c.organisation_id == organisation_id,
            session.c.staff_id == staff_id,
            session.c.ended_at.is_(None),
        )
        .values(ended_at=to_time(now_s))
    )
    return ended.rowcount


async def forget_sessions(
    connection: AsyncConnection, organisation_id: UUID, staff_id: UUID, begun_before_s: float
) -> None:
    """Delete what cannot be used any more, however it ended."""
    await connection.execute(
        session.delete().where(
            session.c.organisation_id == organisation_id,
            session.c.staff_id == staff_id,
            session.c.begun_at < to_time(begun_before_s),
        )
    )


async def insert_invite(
    connection: AsyncConnection,
    organisation_id: UUID,
    *,
    made_by: UUID,
    token_hash: bytes,
    email: str,
    role: Role,
    now_s: float,
    expires_s: float,
) -> None:
    """An offer to join, good once and while its maker may sign in."""
    await connection.execute(
        invite.insert().values(
            organisation_id=organisation_id,
            id=uuid4(),
            made_by=made_by,
            token_hash=token_hash,
            email=email,
            role=role.value,
            made_at=to_time(now_s),
            expires_at=to_time(expires_s),
        )
    )


async def find_invite(
    connection: AsyncConnection, organisation_id: UUID, token_hash: bytes, now_s: float
) -> Invite | None:
    """The offer behind a token, None when it is unknown, used, too old, or its maker was shut out."""
    row = (
        await connection.execute(
            sa.select(invite.c.id, organisation.c.name, invite.c.email, invite.c.role)
            .join(organisation, organisation.c.id == invite.c.organisation_id)
            .where(invite.c.organisation_id == organisation_id, invite.c.token_hash == token_hash, *_usable(now_s))
        )
    ).one_or_none()
    return None if row is None else Invite(row.id, organisation_id, row.name, row.email, Role(row.role))


async def use_invite(connection: AsyncConnection, organisation_id: UUID, invite_id: UUID, now_s: float) -> bool:
    """Use it up; says whether it was still good."""
    used = await connection.execute(
        invite.update()
        .where(invite.c.organisation_id == organisation_id, invite.c.id == invite_id, *_usable(now_s))
        .values(used_at=to_time(now_s))
    )
    return used.rowcount == 1


def _usable(now_s: float) -> Iterable[sa.ColumnElement[bool]]:
    maker = sa.exists().where(
        staff.c.organisation_id == invite.c.organisation_id,
        staff.c.id == invite.c.made_by,
        staff.c.disabled_at.is_(None),
    )
    return invite.c.used_at.is_(None), invite.c.expires_at > to_time(now_s), maker


async def insert_setup_token(
    connection: AsyncConnection, token_hash: bytes, organisation_id: UUID | None, now_s: float, expires_s: float
) -> None:
    """The right to be the first owner, once."""
    if organisation_id is not None:
        await set_organisation(connection, organisation_id)
    await _present_setup_token(connection, token_hash)
    await connection.execute(
        setup_token.insert().values(
            token_hash=token_hash,
            organisation_id=organisation_id,
            made_at=to_time(now_s),
            expires_at=to_time(expires_s),
        )
    )


async def find_setup_token(connection: AsyncConnection, token_hash: bytes, now_s: float) -> SetupToken | None:
    """What a set-up token opens, None when it is unknown, used or too old. Its organisation, if any, is then set."""
    await _present_setup_token(connection, token_hash)
    row = (
        await connection.execute(
            sa.select(setup_token.c.organisation_id).where(
                setup_token.c.token_hash == token_hash,
                setup_token.c.used_at.is_(None),
                setup_token.c.expires_at > to_time(now_s),
            )
        )
    ).one_or_none()
    if row is None:
        return None
    name = None
    if row.organisation_id is not None:
        await set_organisation(connection, row.organisation_id)
        name = await connection.scalar(sa.select(organisation.c.name).where(organisation.c.id == row.organisation_id))
    return SetupToken(token_hash, row.organisation_id, name)


async def use_setup_token(connection: AsyncConnection, token_hash: bytes, now_s: float) -> bool:
    """Use it up; says whether it was still good."""
    await _present_setup_token(connection, token_hash)
    used = await connection.execute(
        setup_token.update()
        .where(
            setup_token.c.token_hash == token_hash,
            setup_token.c.used_at.is_(None),
            setup_token.c.expires_at > to_time(now_s),
        )
        .values(used_at=to_time(now_s))
    )
    return used.rowcount == 1


async def _present_setup_token(connection: AsyncConnection, token_hash: bytes) -> None:
    await connection.execute(
        sa.text("SELECT set_config('app.setup_token', :token_hash, true)"), {"token_hash": token_hash.hex()}
    )


async def write_audit(
    connection: AsyncConnection,
    organisation_id: UUID,
    *,
    actor: str,
    action: str,
    now_s: float,
    job_id: UUID | None = None,
    technician_id: UUID | None = None,
    evidence: dict[str, Any] | None = None,
) -> None:
    """What somebody of the staff did, besides what happens to jobs."""
    await connection.execute(
        audit.insert().values(
            organisation_id=organisation_id,
            at=to_time(now_s),
            actor=actor,
            action=action,
            job_id=job_id,
            technician_id=technician_id,
            evidence=evidence or {},
        )
    )
