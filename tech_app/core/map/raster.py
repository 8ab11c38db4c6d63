"""Tiles as pictures from a host of raster tiles, kept on the phone."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from tech_app.core.map.mercator import Tile

MOST_ZOOM = 19  # what such hosts have
ANSWER_WITHIN_S = 15.0
MOST_TILE_BYTES = 1_000_000
MOST_KEPT_BYTES = 100_000_000
KEPT_S = 30 * 86_400.0  # then it is asked for again, and shown meanwhile where nobody answers
KEPT_SUFFIX = ".tile"


class NoTile(Exception):
    """The host does not answer, or not with a tile."""


class RasterTiles:
    """Tiles of one host. `tile` may be called by several threads."""

    def __init__(self, url: str, folder: Path, tls: ssl.SSLContext | None, now: Callable[[], float]) -> None:
        """`url` as `https://HOST/{z}/{x}/{y}.png`; `folder` is the cache's own. `now` is UTC seconds."""
        self._url = url.replace("{s}", "a")  # one mirror: the cache knows a tile by its address
        self._folder = folder
        self._tls = tls
        self._now = now
        folder.mkdir(parents=True, exist_ok=True)
        self._kept_bytes = sum(file.stat().st_size for file in folder.glob(f"*{KEPT_SUFFIX}"))

    def tile(self, tile: Tile) -> bytes | None:
        """The picture as it came; None where the host has none. Raises `NoTile`."""
        url = self._url.format(z=tile.z, x=tile.x, y=tile.y)
        file = self._folder / (hashlib.sha256(url.encode()).hexdigest()[:32] + KEPT_SUFFIX)
        kept, age_s = self._find(file)
        if kept is not None and age_s < KEPT_S:
            return kept or None
        try:
            picture = self._fetch(url)
        except NoTile:
            if kept is None:
                raise
            return kept or None
        self._keep(file, picture)
        return picture or None

    def _find(self, file: Path) -> tuple[bytes | None, float]:
        try:
            return file.read_bytes(), abs(self._now() - file.stat().st_mtime)
        except OSError:
            return None, 0.0

    def _keep(self, file: Path, picture: bytes) -> None:
        with contextlib.suppress(OSError):  # a full phone: the map goes on without
            new = file.with_suffix(f".{os.urandom(4).hex()}.new")
            new.write_bytes(picture)
            os.utime(new, (self._now(), self._now()))
            new.replace(file)
            self._kept_bytes += len(picture)
            if self._kept_bytes > MOST_KEPT_BYTES:
                self._throw_away()

    def _throw_away(self) -> None:
        """The oldest third goes, with what was left behind by a crash."""
        files = sorted((file.stat().st_mtime, file.stat().st_size, file) for file in self._folder.iterdir())
        self._kept_bytes = sum(size for _, size, _ in files)
        for _, size, file in files:
            if self._kept_bytes <= MOST_KEPT_BYTES * 2 / 3:
                return
            file.unlink(missing_ok=True)
            self._kept_bytes -= size

    def _fetch(self, url: str) -> bytes:
        """Empty where the host has no tile."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        connection = (
            http.client.HTTPSConnection(host, port, timeout=ANSWER_WITHIN_S, context=self._tls)
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=ANSWER_WITHIN_S)
        )
        try:
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", path, headers={"user-agent": "Doorstep"})
            response = connection.getresponse()
            picture = response.read(MOST_TILE_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise NoTile(f"the host of the map does not answer: {error!r}") from error
        finally:
            connection.close()
        if response.status in (204, 404):
            return b""
        if response.status != 200 or len(picture) > MOST_TILE_BYTES:
            raise NoTile(f"the host of the map answered {response.status}")
        return picture
