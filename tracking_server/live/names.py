"""Every Redis key, channel and time to live, once."""

from __future__ import annotations

from uuid import UUID

UPDATES = "doorstep:updates"  # one channel: each process has one subscription and sorts by job itself
POSITION_TTL_S = 3_600  # an older position is not shown to anybody


def position(technician_id: UUID) -> str:
    """The newest trusted position of a technician."""
    return f"doorstep:position:{technician_id.hex}"
