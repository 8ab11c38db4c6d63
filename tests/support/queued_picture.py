"""A picture in a phone's queue, as drafts of proof put it there when the visit is ended."""

from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import uuid4

from tech_app.core.jobs import Proof
from tech_app.core.outbox import Outbox, QueuedFile


def keep(outbox: Outbox, folder: Path, job: str, kind: Proof, data: bytes, now_s: float) -> QueuedFile:
    """Write it to the disk and queue it; returns what was queued."""
    id_ = str(uuid4())
    path = folder / f"{id_}.{'png' if kind is Proof.signature else 'jpg'}"
    path.write_bytes(data)
    queued = QueuedFile(id_, job, kind.value, path, hashlib.sha256(data).hexdigest(), len(data), now_s)
    outbox.add_file(queued)
    return queued
