"""Names above the map: drawn once each, then only moved."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

from kivy.core.text import Label as Drawing
from kivy.graphics import Color, InstructionGroup, Quad
from kivy.graphics.texture import Texture
from kivy.metrics import dp, sp

from tech_app.core.map.names import Written
from tech_app.core.map.paper import Paper
from tech_app.core.map.picture import NameKind
from tech_app.core.map.style import Colour, Look
from tech_app.core.shaping import drawn
from tech_app.ui.theme import BOLD, REGULAR

SIZES_SP = {NameKind.locality: 18, NameKind.neighbourhood: 15, NameKind.water: 14, NameKind.road: 13}
BOLD_KINDS = frozenset({NameKind.locality, NameKind.neighbourhood})
HALO_DP = 1.5
MOST_KEPT = 300  # names

Key = tuple[str, NameKind, Colour, float]


class Lettering(InstructionGroup):
    """Instructions for a canvas."""

    def __init__(self) -> None:
        super().__init__()
        self.written: Sequence[Written] = ()
        self._quads: list[Quad] = []
        self._textures: OrderedDict[Key, Texture] = OrderedDict()

    def measure(self, text: str, kind: NameKind) -> tuple[float, float]:
        """How wide and high a name is, in pixels."""
        width, height = _drawing(text, kind).get_extents(drawn(text))
        return float(width), float(height)

    def write(self, written: Sequence[Written], look: Look) -> None:
        """These names and no others; `move` puts them where they are."""
        self.clear()
        self.written = written
        self.add(Color(1, 1, 1, 1))
        self._quads = [Quad(texture=self._texture(one, look)) for one in written]
        for quad in self._quads:
            self.add(quad)

    def move(self, paper: Paper, left: float, bottom: float) -> None:
        """Where they are now; `left`, `bottom` is the view's corner, in pixels."""
        for one, quad in zip(self.written, self._quads, strict=True):
            x, y = paper.on_screen(one.name.x, one.name.y)
            x, y = x + left, y + bottom
            width, height = quad.texture.size
            if not one.angle:
                x, y = round(x - width / 2) + width / 2, round(y - height / 2) + height / 2  # a level name stays sharp
            along = (math.cos(one.angle) * width / 2, math.sin(one.angle) * width / 2)
            across = (-math.sin(one.angle) * height / 2, math.cos(one.angle) * height / 2)
            corners = ((-1, -1), (1, -1), (1, 1), (-1, 1))
            quad.points = [
                number
                for a, b in corners
                for number in (x + a * along[0] + b * across[0], y + a * along[1] + b * across[1])
            ]

    def _texture(self, one: Written, look: Look) -> Texture:
        colour = look.water_name if one.name.kind is NameKind.water else look.name
        key = (one.text, one.name.kind, colour, sp(1))
        found = self._textures.pop(key, None)
        if found is None:
            drawing = _drawing(
                one.text, one.name.kind, color=(*colour, 1), outline_color=(*look.halo, 1), outline_width=dp(HALO_DP)
            )
            drawing.refresh()
            found = drawing.texture
        self._textures[key] = found
        while len(self._textures) > MOST_KEPT:
            self._textures.popitem(last=False)
        return found


def _drawing(text: str, kind: NameKind, **more: object) -> Drawing:
    font = BOLD if kind in BOLD_KINDS else REGULAR
    return Drawing(text=drawn(text), font_name=font, font_size=sp(SIZES_SP[kind]), **more)
