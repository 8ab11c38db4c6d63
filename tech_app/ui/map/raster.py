"""Tiles that are pictures: drawn under the marks as they come."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace

from kivy.graphics import Color, InstructionGroup, Rectangle
from kivy.graphics.texture import Texture
from PIL import Image

from tech_app.core.map.mercator import Tile, View
from tech_app.core.map.paper import Paper
from tech_app.core.map.raster import MOST_ZOOM, RasterTiles
from tech_app.core.map.shelf import Shelf

MOST_BYTES = 40_000_000
THREADS = 4  # most of their time they wait for the network
MOST_PIXELS = 1024 * 1024  # of a tile
NIGHT = 0.62  # how much of a picture's light is left in the dark


@dataclass(slots=True)
class _Picture:
    """One tile's; put on the graphics chip when it is first seen."""

    size: tuple[int, int]
    pixels: bytes
    texture: Texture | None = None


class RasterSheet(InstructionGroup):
    """Instructions for a canvas. `ready` is called, in another thread, when there is more to show."""

    def __init__(self, ready: Callable[[], object]) -> None:
        super().__init__()
        self._ready = ready
        self._tiles: RasterTiles | None = None
        self.shelf: Shelf[_Picture] | None = None
        self._shown: dict[Tile, Rectangle] = {}

    def use(self, tiles: RasterTiles | None) -> None:
        """Draw the tiles of this host; None draws nothing."""
        if tiles is self._tiles:
            return
        self.close()
        self._tiles = tiles
        if tiles is not None:
            self.shelf = Shelf(
                lambda tile: _read(tiles.tile(tile)), lambda one: len(one.pixels), MOST_BYTES, self._ready, THREADS
            )

    def close(self) -> None:
        """End the threads, and draw nothing."""
        if self.shelf is not None:
            self.shelf.close()
        self.shelf, self._tiles = None, None
        self._shown.clear()
        self.clear()

    def show(self, paper: Paper, left: float, bottom: float, *, dark: bool) -> None:
        """The tiles that are to be seen now, as far as they are here; `left`, `bottom` is the view's corner."""
        if self.shelf is None:
            return
        wanted = _halved(paper.view).tiles(0, MOST_ZOOM)
        here = self.shelf.want(wanted)
        self._shown.clear()
        self.clear()
        self.add(Color(*(3 * [NIGHT] if dark else (1, 1, 1)), 1))
        coarser = dict.fromkeys(tile.parent for tile in wanted if tile not in here and tile.z)
        for tile in (*coarser, *wanted):
            picture = self.shelf.find(tile)
            if picture is not None:
                self._shown[tile] = Rectangle(texture=_texture(picture))
                self.add(self._shown[tile])
        self.move(paper, left, bottom)

    def move(self, paper: Paper, left: float, bottom: float) -> None:
        """Where they are now."""
        for tile, rectangle in self._shown.items():
            across = 2**tile.z
            x, y = paper.view.on_screen(tile.x / across, (tile.y + 1) / across)
            to_x, to_y = paper.view.on_screen((tile.x + 1) / across, tile.y / across)
            x, y, to_x, to_y = (round(number) for number in (left + x, bottom + y, left + to_x, bottom + to_y))
            rectangle.pos, rectangle.size = (x, y), (to_x - x, to_y - y)


def _halved(view: View) -> View:
    """The same, of tiles that are drawn half as large, as hosts of pictures have them."""
    return replace(view, zoom=view.zoom + 1, tile_px=view.tile_px / 2)


def _read(data: bytes | None) -> _Picture | None:
    """Raises ValueError or OSError on what is no picture of a tile."""
    if data is None:
        return None
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as opened:
        if opened.width * opened.height > MOST_PIXELS:
            raise ValueError("a tile is too large")
        whole = opened.convert("RGBA").transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return _Picture(whole.size, whole.tobytes())


def _texture(picture: _Picture) -> Texture:
    if picture.texture is None:
        picture.texture = Texture.create(size=picture.size, colorfmt="rgba")
        picture.texture.blit_buffer(picture.pixels, colorfmt="rgba", bufferfmt="ubyte")
        picture.texture.wrap = "clamp_to_edge"
    return picture.texture
