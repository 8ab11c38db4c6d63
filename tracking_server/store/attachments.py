"""The folder of photos and signatures: pieces as they come, whole files, and small copies to show.

Everything in it is read and written here only, in threads. A file is named by its organisation and its own id, never by
what somebody called it. Whole and safe on the disk comes before the row that says so.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

UNFINISHED_DAYS = 7.0  # a phone keeps trying for three
UNOWNED_DAYS = 1.0  # whole, and its row was never committed, or is gone


@dataclass(frozen=True, slots=True)
class FileOf:
    """Whose file, and which."""

    organisation_id: UUID
    device_id: UUID
    id: UUID


@dataclass(frozen=True, slots=True)
class Finished:
    """What a whole file was: its SHA-256, and whether there is a copy to show."""

    digest: bytes
    shown: bool


class Attachments:
    """All methods raise OSError when the disk is full or away."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fault(self) -> str | None:
        """Why nothing can be kept here, and what to do; None when all is well."""
        try:
            _make_folder(self._folder)
            writable = os.access(self._folder, os.R_OK | os.W_OK | os.X_OK)
        except OSError:
            writable = False
        return None if writable else f"DOORSTEP_ATTACHMENTS: {self._folder} cannot be written to. Name another folder."

    def put_piece(self, file: FileOf, offset: int, piece: bytes) -> int:
        """Take what continues the file, and nothing else; returns how many bytes of it are here."""
        with self._incoming(file, create=offset == 0 and bool(piece)) as opened:
            if opened is None:
                return 0
            size = opened.seek(0, os.SEEK_END)
            if offset <= size < offset + len(piece):
                opened.write(piece[size - offset :])
                opened.flush()
            return opened.seek(0, os.SEEK_END)

    def finish(self, file: FileOf, size: int, sha256: bytes, show: Callable[[bytes], bytes | None]) -> Finished | None:
        """Move a whole file to its place, with the copy that `show` makes of it beside it; both are on the disk then.

        One that has another hash is forgotten. None when it is not whole: somebody else has just finished it.
        """
        with self._incoming(file, create=False) as opened:
            if opened is None or opened.seek(0, os.SEEK_END) < size:
                return None
            opened.seek(0)
            data = opened.read()
            digest = hashlib.sha256(data).digest()
            if digest != sha256:
                self._incoming_path(file).unlink()
                return Finished(digest, shown=False)
            os.utime(opened.fileno())  # whole from now on: no stray before its row can be there
            os.fsync(opened.fileno())
            shown = show(data)
            whole, copy = self._paths(file.organisation_id, file.id)
            _make_folder(whole.parent)
            if shown is not None:
                _write(copy, shown)
            self._incoming_path(file).replace(whole)
            _sync_folder(whole.parent)
            return Finished(digest, shown=shown is not None)

    def open_shown(self, organisation_id: UUID, id_: UUID) -> bytes | None:
        """The copy to show, None when there is none."""
        try:
            return self._paths(organisation_id, id_)[1].read_bytes()
        except FileNotFoundError:
            return None

    def unfinished(self, organisation_id: UUID, device_id: UUID) -> int:
        """How many files of a phone are on their way."""
        folder = self._incoming_folder(organisation_id, device_id)
        return len(os.listdir(folder)) if folder.is_dir() else 0

    def delete(self, organisation_id: UUID, ids: Collection[UUID]) -> None:
        """Forget whole files and their copies."""
        for id_ in ids:
            for path in self._paths(organisation_id, id_):
                path.unlink(missing_ok=True)

    def delete_orphans(self, organisation_id: UUID, known: Collection[UUID]) -> int:
        """Delete pieces that nobody goes on with, and files that no row names; returns how many."""
        now_s = time.time()  # the disk's own clock
        names = {id_.hex for id_ in known}
        root = self._folder / organisation_id.hex
        gone = 0
        for path in sorted(root.rglob("*")) if root.is_dir() else []:
            if path.is_dir():
                continue
            waits = "incoming" in path.parts
            days = UNFINISHED_DAYS if waits else UNOWNED_DAYS
            if (waits or path.stem not in names) and _age_s(path, now_s) > days * 86_400:
                path.unlink(missing_ok=True)
                gone += 1
        return gone

    @contextmanager
    def _incoming(self, file: FileOf, *, create: bool) -> Iterator[BinaryIO | None]:
        """The file as far as it is here, None when nothing is; nobody else writes to it meanwhile."""
        path = self._incoming_path(file)
        if create:
            _make_folder(path.parent)
        while True:
            try:
                opened = _open(path, os.O_CREAT if create else 0)
            except FileNotFoundError:
                yield None
                return
            with opened:
                fcntl.flock(opened, fcntl.LOCK_EX)
                if _is_still(path, opened):
                    yield opened
                    return

    def _incoming_folder(self, organisation_id: UUID, device_id: UUID) -> Path:
        return self._folder / organisation_id.hex / "incoming" / device_id.hex

    def _incoming_path(self, file: FileOf) -> Path:
        return self._incoming_folder(file.organisation_id, file.device_id) / file.id.hex

    def _paths(self, organisation_id: UUID, id_: UUID) -> tuple[Path, Path]:
        """The file as it was sent, and the copy to show."""
        folder = self._folder / organisation_id.hex / id_.hex[:2]
        return folder / id_.hex, folder / f"{id_.hex}.shown"


def _open(path: Path, how: int) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CLOEXEC | how, 0o600), "r+b")


def _write(path: Path, data: bytes) -> None:
    new = path.with_suffix(".new")
    with _open(new, os.O_CREAT | os.O_TRUNC) as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())
    new.replace(path)


def _is_still(path: Path, opened: BinaryIO) -> bool:
    """Whether the path leads to what was opened: somebody may have finished it while we waited."""
    try:
        return os.path.samestat(path.stat(), os.fstat(opened.fileno()))
    except FileNotFoundError:
        return False


def _age_s(path: Path, now_s: float) -> float:
    """Since it was written to; nothing when it has just been moved away."""
    try:
        return now_s - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
