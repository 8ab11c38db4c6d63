"""What a map is drawn on: the copy of the region on this phone, a host of raster tiles, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from tech_app.core.map.archive import Archive
from tech_app.core.map.mercator import View, to_place
from tech_app.core.map.raster import RasterTiles

OPENSTREETMAP = "© OpenStreetMap contributors"
RASTER_ZOOMS = (0, 19)


@dataclass(frozen=True, slots=True)
class Ground:
    """`attribution` has to be seen on every map."""

    archive: Archive | None = None
    raster: RasterTiles | None = None
    attribution: str = ""

    def covers(self, view: View) -> bool:
        """Whether there is something to draw in the middle of the view."""
        if self.archive is None:
            return self.raster is not None
        lat, lon = to_place(view.x, view.y)
        west, south, east, north = self.archive.header.bounds
        return west <= lon <= east and south <= lat <= north


NO_GROUND = Ground()
