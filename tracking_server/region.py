"""The demo's region: where `./doorstep` puts what it fetches, and what is made of it for the embedded installation."""

from __future__ import annotations

from tracking_server.embedded import CLONE

FETCHED = CLONE / ".venv"
EXTRACT = FETCHED / "region" / "region.osm.pbf"
BASEMAP = FETCHED / "region" / "region.pmtiles"
ROADS = FETCHED / "region" / "roads"
ENGINE = FETCHED / "valhalla" / "valhalla"
