"""`PUT /v1/files/ID`: photos and signatures in pieces, each of which may come twice, late, or not at all.

The answer says how many bytes are here, which is where the phone goes on. With the last piece it tells their SHA-256:
a phone that reads another one begins anew. As with fixes a known phone is refused only for how much it sends at once.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tracking_server.clock import Clock
from tracking_server.ingest.devices import Devices
from tracking_server.ingest.pictures import FORMATS, picture_to_show
from tracking_server.ingest.wire import LAST_TIME_S
from tracking_server.live.bus import Bus
from tracking_server.store.attachments import Attachments, FileOf
from tracking_server.store.devices import Device
from tracking_server.store.engine import transaction
from tracking_server.store.notes import count_version_up
from tracking_server.store.proofs import Known, NewFile, count_files, find_file, insert_file
from tracking_server.turn import OLDEST_TAP_S

log = structlog.get_logger()
MOST_FILE_BYTES = 8 * 1024 * 1024  # phones send 0.4 MB
MOST_PIECE_BYTES = 1024 * 1024
MOST_PER_JOB = 50
MOST_PER_DAY = 500  # of one phone
MOST_UNFINISHED = 64
AT_ONCE = 2  # pictures that are decoded side by side
RETRY_AFTER_S = 2
RETRY_LATER_S = 600
DAY_S = 86_400.0
KINDS = ("photo", "signature")
RANGE = re.compile(r"bytes (?:(\d{1,9})-(\d{1,9})|\*)/(\d{1,9})")
SHA256 = re.compile(r"[0-9a-f]{64}")
TIME = re.compile(r"\d{1,10}(\.\d{1,9})?")


class Refused(Exception):
    """This piece is not taken; status and line are the answer."""

    def __init__(self, status: int, line: str, retry_after_s: int | None = None) -> None:
        super().__init__(line)
        self.status = status
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Piece:
    """A request, read. `size` is the whole file's; an `offset` of None asks how far it is."""

    file: FileOf
    job_id: UUID
    kind: str
    media_type: str
    offset: int | None
    length: int
    size: int
    sha256: bytes
    made_s: float


class FilesEndpoint:
    """Takes pieces."""

    def __init__(
        self, engine: AsyncEngine, bus: Bus, devices: Devices, clock: Clock, files: Attachments | None
    ) -> None:
        self._engine = engine
        self._bus = bus
        self._devices = devices
        self._clock = clock
        self._files = files
        self._decoding = asyncio.Semaphore(AT_ONCE)

    def route(self) -> Route:
        return Route("/v1/files/{file_id}", self._put, methods=["PUT"])

    async def _put(self, request: Request) -> Response:
        device = await self._devices.authenticate(request.headers.get("authorization", ""))
        try:
            if device is None:
                raise Refused(401, "unknown device key: pair this phone again")
            if self._files is None:
                raise Refused(503, "this service keeps no files: set DOORSTEP_ATTACHMENTS", RETRY_LATER_S)
            piece = read_piece(request, device)
            body = await _read_body(request, piece)
            return await self._take(self._files, device, piece, body)
        except Refused as error:
            headers = {} if error.retry_after_s is None else {"retry-after": str(error.retry_after_s)}
            return JSONResponse({"error": str(error)}, error.status, headers)
        except OSError as error:
            log.error("attachment_not_written", error=error.strerror)
            headers = {"retry-after": str(RETRY_LATER_S)}
            return JSONResponse({"error": "files cannot be kept at the moment"}, 503, headers)

    async def _take(self, files: Attachments, device: Device, piece: Piece, body: bytes) -> Response:
        known = await self._look_up(files, device, piece)
        if known is not None:
            return _answer(known.size, known.sha256)
        received = await asyncio.to_thread(files.put_piece, piece.file, piece.offset or 0, body)
        if received < piece.size:
            return _answer(received, None)
        async with self._decoding:
            show = partial(picture_to_show, media_type=piece.media_type)
            done = await asyncio.to_thread(files.finish, piece.file, piece.size, piece.sha256, show)
        if done is None:
            return _answer(0, None)
        if done.digest == piece.sha256:
            await self._keep_row(device, piece, shown=done.shown)
        return _answer(piece.size, done.digest)

    async def _look_up(self, files: Attachments, device: Device, piece: Piece) -> Known | None:
        """The file, when it is here already. Raises `Refused` when this phone sends too many."""
        async with transaction(self._engine, device.organisation_id) as connection:
            known = await find_file(connection, device.organisation_id, piece.file.id)
            today = await count_files(connection, device, self._clock.now() - DAY_S) if not piece.offset else 0
        if known is not None:
            if (known.device_id, known.sha256) != (device.id, piece.sha256):
                raise Refused(409, "another file has this id")
            return known
        if not piece.offset:
            waiting = await asyncio.to_thread(files.unfinished, device.organisation_id, device.id)
            if today >= MOST_PER_DAY or waiting > MOST_UNFINISHED:
                raise Refused(429, "this phone sends too many files: send the rest later", RETRY_LATER_S)
        return None

    async def _keep_row(self, device: Device, piece: Piece, *, shown: bool) -> None:
        """The file is safe: now the row, then everybody who looks at the visit. A time that no phone in its right mind
        can mean is that of the arrival."""
        now_s = self._clock.now()
        made_s = piece.made_s if now_s - OLDEST_TAP_S < piece.made_s < now_s else now_s
        new = NewFile(
            piece.file.id, piece.job_id, piece.kind, piece.media_type, piece.size, piece.sha256, made_s, shown
        )  # fmt: skip
        changes = []
        async with transaction(self._engine, device.organisation_id) as connection:
            verdict = await insert_file(connection, device, new, MOST_PER_JOB, now_s)
            if verdict is None:
                changes.append(await count_version_up(connection, device.organisation_id, piece.job_id))
        if verdict is not None:
            log.info("attachment_not_shown", device=str(device.id), verdict=verdict.value)
        await self._bus.publish(changes)


def read_piece(request: Request, device: Device) -> Piece:
    """What a request says of its file. Raises `Refused`."""
    headers = request.headers
    range_ = RANGE.fullmatch(headers.get("content-range", ""))
    if range_ is None:
        raise Refused(400, "content-range: write it as bytes 0-131071/300000, or bytes */300000 to ask how far it is")
    first, last, size = (None if part is None else int(part) for part in range_.groups())
    length = 0 if first is None or last is None else last - first + 1
    if not size or length < 0 or (last is not None and last >= size):
        raise Refused(400, "content-range: it does not lie within the file")
    if size > MOST_FILE_BYTES or length > MOST_PIECE_BYTES:
        raise Refused(413, "a file has at most 8 MiB and a piece of it 1 MiB")
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in FORMATS:
        raise Refused(415, "content-type: image/jpeg and image/png are taken")
    kind, sha256, made = (headers.get(name, "") for name in ("x-kind", "x-sha256", "x-made-at"))
    if kind not in KINDS:
        raise Refused(400, "x-kind: photo or signature")
    if not SHA256.fullmatch(sha256):
        raise Refused(400, "x-sha256: 64 hexadecimal digits, in small letters")
    if not TIME.fullmatch(made) or not 0 < float(made) < LAST_TIME_S:
        raise Refused(400, "x-made-at: seconds since 1970")
    job_id = _uuid(headers.get("x-job", ""), "x-job")
    file = FileOf(device.organisation_id, device.id, _uuid(request.path_params["file_id"], "the id in the address"))
    return Piece(file, job_id, kind, media_type, first, length, size, bytes.fromhex(sha256), float(made))


def _uuid(text: str, name: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Refused(400, f"{name}: an id as 0d3f6a52-0000-4000-8000-000000000001") from None


async def _read_body(request: Request, piece: Piece) -> bytes:
    """Exactly the piece. Raises `Refused`."""
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > piece.length:
                raise Refused(400, "the body is longer than its content-range")
    except ClientDisconnect:
        raise Refused(400, "the body is cut short") from None
    if len(body) != piece.length:
        raise Refused(400, "the body is shorter than its content-range")
    return bytes(body)


def _answer(received: int, sha256: bytes | None) -> Response:
    return JSONResponse({"received": received, "sha256": None if sha256 is None else sha256.hex()})
