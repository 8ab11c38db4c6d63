"""Where photos come from, and what a square code in one says."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from PIL import Image


class NoCamera(Exception):
    """There is no camera, or the technician did not allow its use; the text says what to do."""


class Camera(Protocol):
    """One picture at a time."""

    async def take(self) -> bytes | None:
        """The bytes of a new picture, as the camera wrote it; None when none was taken. Raises `NoCamera`."""
        ...


class PhoneCamera:
    """The phone's own camera app, through plyer. Not tried on a phone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def take(self) -> bytes | None:
        from plyer import camera

        loop = asyncio.get_running_loop()
        taken: asyncio.Future[None] = loop.create_future()

        def answer(_: object) -> None:
            loop.call_soon_threadsafe(lambda: taken.done() or taken.set_result(None))

        self._folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder) / "photo.jpg"
            try:
                camera.take_picture(filename=str(path), on_complete=answer)
            except NotImplementedError as error:
                raise NoCamera("no camera that this app can use here: choose a picture file instead") from error
            await taken
            return path.read_bytes() if path.exists() else None


def code_in(picture: bytes) -> str | None:
    """What the square code (QR) in a picture says; None where there is none, or nothing that can read one."""
    try:
        from pyzbar.pyzbar import ZBarSymbol, decode
    except ImportError:  # the library or its libzbar is not there: codes are typed
        return None
    try:
        with Image.open(io.BytesIO(picture)) as image:
            found = decode(image.convert("L"), [ZBarSymbol.QRCODE])
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    return next((code.data.decode("utf-8", "replace") for code in found), None)
