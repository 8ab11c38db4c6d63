"""A PMTiles file: its header, read once, and its bytes, served in ranges."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pmtiles.tile import (
    MagicNumberNotFound,
    SpecVersionUnsupported,
    TileType,
    deserialize_header,
)
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response

from tracking_server.basemap.view import NO_MAP, REGION_PATH, Archive, Basemap, MapKind

HEADER_BYTES = 127
E7 = 1e7  # degrees are whole numbers there
FOR_A_YEAR = "public, max-age=31536000, immutable"
ASK_AGAIN = "public, no-cache"


class NotABasemap(Exception):
    """The file named by DOORSTEP_BASEMAP cannot be used; the text says why and what to do."""


def read_archive(file: Path) -> Archive:
    """What its header says. Raises `NotABasemap`."""
    advice = "build one with ./doorstep basemap REGION.osm.pbf"
    try:
        with file.open("rb") as opened:
            header = deserialize_header(opened.read(HEADER_BYTES).ljust(HEADER_BYTES, b"\0"))
        state = file.stat()
    except OSError as error:
        raise NotABasemap(f"DOORSTEP_BASEMAP: {file}: {error.strerror}; {advice}") from error
    except (MagicNumberNotFound, SpecVersionUnsupported, UnicodeDecodeError, ValueError) as error:
        raise NotABasemap(f"DOORSTEP_BASEMAP: {file} is no PMTiles file of version 3; {advice}") from error
    if header["tile_type"] is not TileType.MVT:
        raise NotABasemap(f"DOORSTEP_BASEMAP: {file} has no vector tiles, which pages draw; {advice}")
    low, high = (header["min_lon_e7"], header["min_lat_e7"]), (header["max_lon_e7"], header["max_lat_e7"])
    return Archive((low[0] / E7, low[1] / E7, high[0] / E7, high[1] / E7), header["max_zoom"], _version(state))


def _version(state: os.stat_result) -> str:
    return hashlib.sha256(f"{state.st_mtime_ns} {state.st_size}".encode()).hexdigest()[:12]


class RegionFile:
    """`GET /map/region.pmtiles`: in ranges, as a page asks for the tiles it shows; whole for phones, which keep a copy.

    With the version that pages name a browser may keep it for a year; a range of an older file is never mixed with one
    of a newer, as their addresses differ.
    """

    def __init__(self, file: Path | None, archive: Archive | None, basemap: Basemap = NO_MAP) -> None:
        self._file = file
        self._version = archive.version if archive else ""
        self._basemap = basemap

    async def serve(self, request: Request) -> Response:
        """The file, or the part of it that was asked for."""
        if self._file is None:
            return PlainTextResponse("there is no basemap here", status_code=404)
        kept = FOR_A_YEAR if request.query_params.get("v") == self._version else ASK_AGAIN
        headers = {"cache-control": kept, "x-content-type-options": "nosniff"}
        return FileResponse(self._file, media_type="application/vnd.pmtiles", headers=headers)

    async def tell(self, _: Request) -> Response:
        """`GET /v1/region`: which map phones show, and for a file its size and a word that changes with it."""
        told: dict[str, str | int] = {"kind": self._basemap.kind.value}
        if self._file is not None:
            try:
                state = self._file.stat()
            except OSError:
                return JSONResponse({"error": "the basemap is away"}, 503, {"cache-control": ASK_AGAIN})
            told |= {"url": REGION_PATH, "size_bytes": state.st_size, "version": _version(state)}
        elif self._basemap.kind is MapKind.raster:
            told |= {"url": self._basemap.url, "attribution": self._basemap.attribution}
        return JSONResponse(told, headers={"cache-control": ASK_AGAIN})
