"""What a page has to know of its map: one small value, from the settings and the basemap's own header."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from urllib.parse import urlsplit

from tracking_server.basemap.geometry import Bounds

REGION_PATH = "/map/region.pmtiles"
REGION_FACTS_PATH = "/v1/region"
OPENSTREETMAP = '<a href="https://www.openstreetmap.org/copyright">© OpenStreetMap</a>'
RASTER_MAX_ZOOM = 19  # what hosts of raster tiles have


class MapKind(enum.StrEnum):
    """How a page draws its map."""

    none = "none"
    vector = "vector"
    raster = "raster"


@dataclass(frozen=True, slots=True)
class Archive:
    """What the header of a PMTiles file says, and a word that changes with the file."""

    bounds: Bounds
    max_zoom: int
    version: str


@dataclass(frozen=True, slots=True)
class Basemap:
    """A page's map. `attribution` is HTML, and has to be seen on every map; `bounds` are west, south, east, north in
    degrees, beyond which there is nothing to draw."""

    kind: MapKind = MapKind.none
    url: str = ""
    attribution: str = ""
    bounds: Bounds | None = None
    max_zoom: int = 0

    @property
    def data_attributes(self) -> dict[str, str]:
        """For the element that the map is drawn in, to be escaped as any attribute's value."""
        told = {"data-map-kind": self.kind.value}
        if self.kind is not MapKind.none:
            told |= {
                "data-map-url": self.url,
                "data-map-attribution": self.attribution,
                "data-map-max-zoom": str(self.max_zoom),
            }
        if self.bounds is not None:
            told["data-map-bounds"] = ",".join(f"{degrees:.7g}" for degrees in self.bounds)
        return told

    @property
    def image_sources(self) -> tuple[str, ...]:
        """What a page's `img-src` needs besides its own host."""
        return (_host_of(self.url),) if self.kind is MapKind.raster else ()


NO_MAP = Basemap()


def basemap_of(archive: Archive | None, tile_url: str = "", tile_attribution: str = "") -> Basemap:
    """The map of pages: the archive when there is one, else a host of raster tiles, else none."""
    if archive is not None:
        url = f"{REGION_PATH}?v={archive.version}"
        return Basemap(MapKind.vector, url, OPENSTREETMAP, archive.bounds, archive.max_zoom)
    if tile_url:
        return Basemap(MapKind.raster, tile_url, tile_attribution, None, RASTER_MAX_ZOOM)
    return NO_MAP


def _host_of(url: str) -> str:
    """As a content security policy names it."""
    return f"https://{urlsplit(url).netloc.replace('{s}', '*')}"
