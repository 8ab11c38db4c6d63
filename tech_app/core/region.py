"""The copy of the firm's map on this phone: fetched once, in parts that can be resumed, and anew when it changed.

The map is the same for everybody and holds nothing of the firm's; the phone's key is not sent for it.
"""

from __future__ import annotations

import asyncio
import html
import http.client
import json
import os
import re
import shutil
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tech_app.core.clock import Clock
from tech_app.core.map.archive import HEADER_BYTES, NotAnArchive, OpenArchive, read_header
from tech_app.core.map.ground import NO_GROUND, OPENSTREETMAP, Ground
from tech_app.core.map.raster import RasterTiles

ASK_OVER_BYTES = 60_000_000  # a large town is 20 to 40 MB; more is fetched only when the technician agrees
METERED_BYTES = 5_000_000  # what is fetched without asking where the network counts
ROOM_BYTES = 50_000_000  # that stay free on the phone
PART_BYTES = 256 * 1024
MOST_FACTS_BYTES = 20_000
ANSWER_WITHIN_S = 20.0
LOOK_EVERY_S = 6 * 3600.0
LOOK_AGAIN_S = 300.0  # after trouble
TAGS = re.compile(r"<[^>]*>")


class Standing(StrEnum):
    """How it is with the copy."""

    unknown = "unknown"
    no_map = "no_map"  # the service has none
    whole = "whole"
    fetching = "fetching"
    asks = "asks"  # it is large, or the network counts: the technician says whether
    trouble = "trouble"


@dataclass(frozen=True, slots=True)
class Progress:
    """What to tell of the copy; `trouble` says what is wrong and what to do."""

    standing: Standing = Standing.unknown
    done_bytes: int = 0
    size_bytes: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the service says of its map."""

    kind: str = "none"
    url: str = ""
    size_bytes: int = 0
    version: str = ""
    attribution: str = ""


class _Trouble(Exception):
    """It cannot go on for now; the text says why."""


class Region:
    """The map of one service on this phone. `folder` is its own."""

    def __init__(
        self,
        folder: Path,
        url: str,
        tls: ssl.SSLContext | None,
        clock: Clock,
        is_metered: Callable[[], bool] = lambda: False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._url = url
        self._tls = tls
        self._clock = clock
        self._is_metered = is_metered
        self._allowed = False
        self._poked = asyncio.Event()
        self._is_over = False
        self._kept = self._recall()
        self.progress = Progress()
        self.ground = self._open(self._kept)

    @property
    def _file(self) -> Path:
        return self._folder / "region.pmtiles"

    @property
    def _part(self) -> Path:
        return self._folder / "region.part"

    @property
    def _part_tag(self) -> Path:
        return self._folder / "region.part.tag"

    def allow(self) -> None:
        """The technician agreed to fetch it, however large it is."""
        self._allowed = True
        self._poked.set()

    async def run(self) -> None:
        """Keep the copy as the service has it, until cancelled."""
        try:
            while True:
                await self.refresh()
                pause_s = LOOK_AGAIN_S if self.progress.standing is Standing.trouble else LOOK_EVERY_S
                await self._pause(pause_s)
        finally:
            self._is_over = True

    async def _pause(self, seconds: float) -> None:
        """Or shorter, when the technician agrees."""
        waits = [asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(self._poked.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._poked.clear()
            for wait in waits:
                wait.cancel()

    async def refresh(self) -> bool:
        """Look whether the service's map is another one, and fetch it. Says whether `ground` is new."""
        try:
            facts = await asyncio.to_thread(self._ask)
            return await self._follow(facts)
        except _Trouble as error:
            self.progress = replace(self.progress, standing=Standing.trouble, trouble=str(error))
            return False

    async def _follow(self, facts: _Facts) -> bool:
        if facts.kind == "vector":
            if facts.version == self._kept.version and self.ground.archive is not None:
                self.progress = Progress(Standing.whole, facts.size_bytes, facts.size_bytes)
                return False
            large = facts.size_bytes > (METERED_BYTES if self._is_metered() else ASK_OVER_BYTES)
            if large and not self._allowed:
                self.progress = Progress(Standing.asks, self._part_bytes(), facts.size_bytes)
                return False
            await asyncio.to_thread(self._fetch, facts)
            self._allowed = False
        elif facts.kind != "raster":
            self.progress = Progress(Standing.no_map)
            return False
        elif facts == self._kept:
            self.progress = Progress(Standing.whole)
            return False
        self._keep(facts)
        self.ground = self._open(facts)
        self.progress = Progress(Standing.whole, facts.size_bytes, facts.size_bytes)
        return True

    # ---- the service ----

    def _ask(self) -> _Facts:
        response, connection = self._request(f"{self._url}/v1/region", {})
        try:
            if response.status == 404:
                return _Facts()
            if response.status != 200:
                raise _Trouble(f"the service answered {response.status}")
            return _read_facts(response.read(MOST_FACTS_BYTES))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _Trouble(f"this is no answer of the service ({error!r})") from error
        finally:
            connection.close()

    def _fetch(self, facts: _Facts) -> None:
        """In another thread. What was fetched stays when it breaks off."""
        have = self._part_bytes()
        tag = _text(self._part_tag)
        if shutil.disk_usage(self._folder).free < facts.size_bytes - have + ROOM_BYTES:
            raise _Trouble("the phone is too full for the map: make room")
        self.progress = Progress(Standing.fetching, have, facts.size_bytes)
        headers = {"range": f"bytes={have}-", "if-range": tag} if have and tag else {}
        response, connection = self._request(f"{self._url}{facts.url}", headers)
        try:
            begins = _begins_at(response, have)
            if begins is None:
                self._part.unlink(missing_ok=True)
                raise _Trouble(f"the service answered {response.status}")
            self._part_tag.write_text(response.getheader("etag") or "")
            with self._part.open("r+b" if begins else "wb") as file:
                file.seek(begins)
                file.truncate()
                self._write(response, file.write, begins, facts.size_bytes)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, http.client.HTTPException) as error:
            raise _Trouble(f"the map broke off: {error!r}") from error
        finally:
            connection.close()
        self._take()

    def _write(
        self, response: http.client.HTTPResponse, write: Callable[[bytes], object], done: int, size: int
    ) -> None:
        while data := response.read(PART_BYTES):
            done += len(data)
            if self._is_over:
                raise OSError("the app ends")
            if done > size + PART_BYTES:
                raise OSError("it is longer than the service said")
            write(data)
            self.progress = Progress(Standing.fetching, done, size)
        if response.length:
            raise OSError("it ended too early")

    def _take(self) -> None:
        """The part is whole: it takes the place of what was there."""
        try:
            with self._part.open("rb") as file:
                header = read_header(file.read(HEADER_BYTES))
            if header.ends_at > self._part_bytes():
                raise NotAnArchive("it is shorter than it says")
            OpenArchive(self._part).close()
            self._part.replace(self._file)
        except NotAnArchive as error:
            self._part.unlink(missing_ok=True)
            raise _Trouble(f"the service's map cannot be read: {error}") from error
        except OSError as error:
            raise _Trouble(f"the map cannot be kept: {error!r}") from error
        self._part_tag.unlink(missing_ok=True)

    def _request(
        self, url: str, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, http.client.HTTPConnection]:
        parts = urlsplit(url)
        host = parts.hostname or ""
        connection = (
            http.client.HTTPConnection(host, parts.port, timeout=ANSWER_WITHIN_S)
            if self._tls is None
            else http.client.HTTPSConnection(host, parts.port, timeout=ANSWER_WITHIN_S, context=self._tls)
        )
        try:
            connection.request("GET", parts.path, headers=headers)
            return connection.getresponse(), connection
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise _Trouble(f"no connection: {error!r}") from error

    # ---- the phone ----

    def _part_bytes(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _open(self, facts: _Facts) -> Ground:
        if facts.kind == "raster":
            tiles = RasterTiles(facts.url, self._folder / "tiles", self._tls, self._clock.now)
            return Ground(raster=tiles, attribution=facts.attribution)
        try:
            return Ground(archive=OpenArchive(self._file), attribution=OPENSTREETMAP)
        except (OSError, NotAnArchive):
            return NO_GROUND

    def _keep(self, facts: _Facts) -> None:
        new = self._folder / "region.json.new"
        told = {name: getattr(facts, name) for name in _Facts.__slots__}
        try:
            new.write_text(json.dumps(told))
            new.replace(self._folder / "region.json")
        except OSError as error:
            raise _Trouble(f"the map cannot be kept: {error!r}") from error
        self._kept = facts

    def _recall(self) -> _Facts:
        try:
            return _Facts(**json.loads((self._folder / "region.json").read_text()))
        except (OSError, ValueError, TypeError):
            return _Facts()


def _read_facts(data: bytes) -> _Facts:
    """Raises ValueError."""
    said: Any = json.loads(data)
    try:
        kind, url = str(said["kind"]), str(said.get("url", ""))
        thanks = html.unescape(TAGS.sub("", str(said.get("attribution", "")))).strip()
        facts = _Facts(kind, url, int(said.get("size_bytes", 0)), str(said.get("version", "")), thanks)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it says nothing of a map ({error!r})") from error
    if kind == "vector" and not url.startswith("/"):
        raise ValueError("its map is somewhere else")
    if kind == "raster" and not (url.startswith("https://") and {"{z}", "{x}", "{y}"} <= set(re.findall(r"{\w}", url))):
        raise ValueError("its map has no address of tiles")
    return facts


def _begins_at(response: http.client.HTTPResponse, have: int) -> int | None:
    """From which byte on the answer has the file; None when it has nothing of use."""
    if response.status == 200:
        return 0
    told = re.match(r"bytes (\d+)-", response.getheader("content-range") or "")
    return have if response.status == 206 and told and int(told[1]) == have else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
