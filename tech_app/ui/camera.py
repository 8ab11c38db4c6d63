"""Where photos come from, and what a square code in one says.

plyer's camera hands Android a kind of address that it refuses since version 7, so the phone's own is asked here.
"""

from __future__ import annotations

import asyncio
import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from tech_app.ui.widgets.sheet import Choice, Sheet
from tech_app.ui.words import _

PHOTO_REQUEST = 0x0D00
CODE_SIDE_PX = 1600  # a square code that fills a quarter of the picture can be read
PICTURES = frozenset({".jpg", ".jpeg", ".png"})
MOST_PICTURES = 12


class NoCamera(Exception):
    """There is no camera, or the technician did not allow its use."""


class Camera(Protocol):
    """One picture at a time."""

    async def take(self) -> bytes | None:
        """The bytes of a new picture, as the camera wrote it; None when none was taken. Raises `NoCamera`."""
        ...


class PhoneCamera:
    """Android's camera app. It writes into a new picture of the gallery, which is deleted when it was read.

    Needs no permission from Android 10 on. Not tried on a phone.
    """

    async def take(self) -> bytes | None:
        from android import activity, mActivity
        from jnius import JavaException, autoclass, cast

        loop = asyncio.get_running_loop()
        taken: asyncio.Future[bool] = loop.create_future()

        def answer(request: int, result: int, _: Any) -> None:
            if request == PHOTO_REQUEST:
                loop.call_soon_threadsafe(lambda: taken.done() or taken.set_result(result == -1))  # RESULT_OK

        store, intents = autoclass("android.provider.MediaStore"), autoclass("android.content.Intent")
        gallery = autoclass("android.provider.MediaStore$Images$Media")
        values = autoclass("android.content.ContentValues")()
        values.put("mime_type", "image/jpeg")
        resolver = mActivity.getContentResolver()
        try:
            place = resolver.insert(gallery.EXTERNAL_CONTENT_URI, values)
        except JavaException as error:
            raise NoCamera(NoCamera.__doc__) from error
        try:
            activity.bind(on_activity_result=answer)
            intent = intents(store.ACTION_IMAGE_CAPTURE)
            intent.putExtra(store.EXTRA_OUTPUT, cast("android.os.Parcelable", place))
            intent.addFlags(intents.FLAG_GRANT_WRITE_URI_PERMISSION | intents.FLAG_GRANT_READ_URI_PERMISSION)
            mActivity.startActivityForResult(intent, PHOTO_REQUEST)
            return _read(resolver, place) if await taken else None
        except JavaException as error:
            raise NoCamera(NoCamera.__doc__) from error
        finally:
            activity.unbind(on_activity_result=answer)
            resolver.delete(place, None, None)


def _read(resolver: Any, place: Any) -> bytes:
    with os.fdopen(resolver.openFileDescriptor(place, "r").detachFd(), "rb") as file:
        return file.read()


class PictureFiles:
    """A desktop has files instead of a camera: one of a folder's newest is chosen."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def take(self) -> bytes | None:
        chosen: asyncio.Future[Path | None] = asyncio.get_running_loop().create_future()
        choices = [Choice(path, path.name, icon="picture") for path in newest_pictures(self._folder)]
        text = "" if choices else _("There is no picture in %(folder)s") % {"folder": self._folder}
        sheet = Sheet(_("Choose a picture"), choices, chosen.set_result, text=text)
        sheet.bind(on_dismiss=lambda *_: _settle_soon(chosen))
        sheet.open()
        path = await chosen
        try:
            return None if path is None else await asyncio.to_thread(path.read_bytes)
        except OSError:
            return None


def newest_pictures(folder: Path) -> list[Path]:
    """What `PictureFiles` offers; nothing where the folder is not there."""
    with suppress(OSError):
        pictures = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES]
        return sorted(pictures, key=lambda path: path.stat().st_mtime, reverse=True)[:MOST_PICTURES]
    return []


def _settle_soon(chosen: asyncio.Future[Path | None]) -> None:
    """Without a choice, which else comes just after the sheet has begun to go."""

    def settle() -> None:
        if not chosen.done():
            chosen.set_result(None)

    asyncio.get_running_loop().call_soon(settle)


def code_in(picture: bytes) -> str | None:
    """What the square code (QR) in a picture says; None where there is none, or nothing that can read one.

    Takes some tenths of a second on a phone: not in the thread that draws.
    """
    try:
        from pyzbar.pyzbar import ZBarSymbol, decode
    except ImportError:  # the library or its libzbar is not there: codes are typed
        return None
    try:
        with Image.open(io.BytesIO(picture)) as image:
            image.draft("L", (CODE_SIDE_PX, CODE_SIDE_PX))
            grey = image.convert("L")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    grey.thumbnail((CODE_SIDE_PX, CODE_SIDE_PX))
    return next((code.data.decode("utf-8", "replace") for code in decode(grey, [ZBarSymbol.QRCODE])), None)
