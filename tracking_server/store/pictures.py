"""Technicians' photos and firms' logos as kept: small, and already re-encoded."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking_server.store.engine import to_time
from tracking_server.store.schema import picture


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as a browser takes it."""

    media_type: str
    data: bytes


async def insert_picture(connection: AsyncConnection, organisation_id: UUID, new: Picture, now_s: float) -> UUID:
    """Keep a picture; returns its id."""
    picture_id = uuid4()
    await connection.execute(
        picture.insert().values(
            organisation_id=organisation_id,
            id=picture_id,
            media_type=new.media_type,
            data=new.data,
            created_at=to_time(now_s),
        )
    )
    return picture_id


async def read_picture(connection: AsyncConnection, organisation_id: UUID, picture_id: UUID) -> Picture | None:
    """A picture of the organisation, None when there is none."""
    row = (
        await connection.execute(
            sa.select(picture.c.media_type, picture.c.data).where(
                picture.c.organisation_id == organisation_id, picture.c.id == picture_id
            )
        )
    ).one_or_none()
    return None if row is None else Picture(row.media_type, row.data)
