"""Sends the photos and signatures that wait, one piece at a time, behind taps and fixes."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import Callable
from urllib.parse import quote

from tech_app.core.ask import ask
from tech_app.core.clock import Clock, pause
from tech_app.core.line import NotNow, TooMuch, Unpaired, refusal
from tech_app.core.outbox import Outbox, QueuedFile
from tech_app.core.proof import Again, Finished, Piece, after_answer, next_piece
from tech_app.core.uplink import State, Way, answered, failed, nudged

# Whoever queues a file says so; this is for what went unheard.
IDLE_S = 60.0
MOST_ANSWER_BYTES = 10_000
MEDIA_TYPES = {".jpg": "image/jpeg", ".png": "image/png"}


class HttpFiles:
    """`PUT /v1/files/ID` with the bytes from `content-range`; the answer says how many the service has."""

    def __init__(self, url: str, key: str, tls: ssl.SSLContext | None) -> None:
        self._url = url
        self._key = key
        self._tls = tls

    async def put(self, file: QueuedFile, piece: Piece) -> tuple[int, str | None]:
        """How many bytes the service has, and their hash when it has all. Raises FileNotFoundError when the
        file is gone, and `NotNow`, `TooMuch` or `Unpaired`."""
        return await asyncio.to_thread(self._put, file, piece)

    def _put(self, file: QueuedFile, piece: Piece) -> tuple[int, str | None]:
        try:
            with file.path.open("rb") as opened:
                opened.seek(piece.offset)
                body = opened.read(piece.size)
        except FileNotFoundError:
            raise
        except OSError as error:  # a card that is loose: the photo may be there again
            raise NotNow(f"the {file.kind} cannot be read: {error!r}") from error
        headers = {
            "authorization": f"Bearer {self._key}",
            "content-type": MEDIA_TYPES.get(file.path.suffix, "application/octet-stream"),
            "content-range": f"bytes {piece.offset}-{piece.offset + len(body) - 1}/{file.size}",
            "x-job": quote(file.job),
            "x-kind": file.kind,
            "x-made-at": str(round(file.made_s, 2)),
            "x-sha256": file.sha256,
        }
        reply = ask(
            self._url,
            self._tls,
            "PUT",
            f"/v1/files/{quote(file.id)}",
            headers=headers,
            body=body,
            most_bytes=MOST_ANSWER_BYTES,
        )
        if reply.status != 200:
            raise refusal(reply.status, reply.body.decode(errors="replace"), reply.headers.get("retry-after"))
        try:
            said = json.loads(reply.body)
            return int(said["received"]), said.get("sha256")
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise NotNow(f"this is no answer of the service ({error!r})") from error


class Uploads:
    """The loop over the file lane."""

    def __init__(
        self, outbox: Outbox, files: HttpFiles, clock: Clock, *, luck: Callable[[], float] = random.random
    ) -> None:
        self.state = State()
        self.trouble: str | None = None
        self._outbox = outbox
        self._files = files
        self._clock = clock
        self._luck = luck
        self._poked = asyncio.Event()

    def poke(self) -> None:
        """There is something new."""
        self.state = nudged(self.state)
        self._poked.set()

    async def run(self, changed: Callable[[], None] = lambda: None) -> None:
        """Until cancelled; calls `changed` after each step."""
        while True:
            self._poked.clear()
            more = await self.step()
            changed()
            if not more:
                due_s = max(self.state.not_before_s, self.state.told_until_s)
                await pause(self._clock, max(due_s - self._clock.since_boot(), 0.0) or IDLE_S, self._poked)

    async def step(self) -> bool:
        """Send the next piece, if one is due; returns whether there may be more to do at once."""
        now_s = self._clock.since_boot()
        file = self._outbox.next_file()
        if file is None or now_s < max(self.state.not_before_s, self.state.told_until_s):
            return False
        piece = next_piece(file)
        try:
            after = piece if isinstance(piece, Finished) else after_answer(file, *await self._files.put(file, piece))
        except FileNotFoundError as error:
            self.trouble = f"a {file.kind} is gone from the phone: take it again ({error})"
            self._outbox.forget_file(file.id)
            return True
        except (NotNow, TooMuch, Unpaired) as error:
            self.trouble = str(error)
            self.state = failed(self.state, Way.http, error, self._clock.since_boot(), self._luck())
            self._outbox.put_off_file(file.id)  # it may be this one that the service will not have
            return False
        self.state, self.trouble = answered(self.state, now_s), None
        self._follow(file, after)
        return True

    def _follow(self, file: QueuedFile, after: int | Finished | Again) -> None:
        match after:
            case Finished():
                self._outbox.forget_file(file.id)
                file.path.unlink(missing_ok=True)
            case Again():
                self._outbox.file_sent(file.id, 0)
                self._outbox.put_off_file(file.id)
            case sent:
                self._outbox.file_sent(file.id, sent)
