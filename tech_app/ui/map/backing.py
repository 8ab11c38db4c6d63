"""The map as a picture of itself, somewhat larger than what is seen of it: a finger moves that, and not each house.

Drawing a town anew for every frame is a lot for a phone's battery, and too much where no graphics chip helps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kivy.graphics import Color, Fbo, InstructionGroup, Rectangle

from tech_app.core.map.mercator import Tile, View
from tech_app.core.map.paper import Paper
from tech_app.core.map.picture import Picture
from tech_app.ui.map.surface import Land

MARGIN_DP = 96.0  # beyond what is seen
MOST_STRETCHED = 0.2  # zooms that the picture may be stretched while fingers move


class Backing(InstructionGroup):
    """Instructions for a canvas."""

    def __init__(self) -> None:
        super().__init__()
        self.land = Land()
        self._fbo = Fbo(size=(1, 1))
        self._fbo.add(self.land)
        self._fbo.add_reload_observer(self._lose)
        self._drawn: Paper | None = None
        self._rectangle = Rectangle(size=(0, 0))
        self.add(Color(1, 1, 1, 1))
        self.add(self._rectangle)

    def hide(self) -> None:
        """There is no such map."""
        self.land.show({})
        self._drawn = None
        self._rectangle.size = (0, 0)

    def show(self, pictures: Mapping[Tile, Picture]) -> None:
        """These pictures of tiles and no others; seen from the next `move` on."""
        if self.land.show(pictures):
            self._drawn = None

    def move(self, paper: Paper, left: float, bottom: float) -> None:
        """As it is seen now; `left`, `bottom` is the view's corner, in pixels."""
        drawn = self._drawn
        if drawn is None or not _suffices(drawn, paper):
            drawn = self._draw(paper)
        stretched = paper.view.scale / drawn.view.scale
        width, height = drawn.view.width * stretched, drawn.view.height * stretched
        x, y = paper.view.on_screen(drawn.view.x, drawn.view.y)
        corner = left + x - width / 2, bottom + y - height / 2
        self._rectangle.size = (width, height)
        # pixels stay whole while it is only dragged
        self._rectangle.pos = corner if stretched != 1 else (round(corner[0]), round(corner[1]))

    def sharpen(self, paper: Paper) -> None:
        """Draw it anew if it is stretched; seen from the next `move` on."""
        if self._drawn is not None and self._drawn.view.zoom != paper.view.zoom:
            self._drawn = None

    def _draw(self, paper: Paper) -> Paper:
        view = paper.view
        margin = round(MARGIN_DP * paper.dp)
        size = (round(view.width) + 2 * margin, round(view.height) + 2 * margin)
        if tuple(self._fbo.size) != size:
            self._fbo.size = size
        drawn = replace(paper, view=replace(view, width=float(size[0]), height=float(size[1])))
        self.land.stand(drawn, 0, 0)
        self._fbo.clear_color = (*paper.look.nothing, 1)
        self._fbo.bind()
        self._fbo.clear_buffer()
        self._fbo.release()
        self._fbo.ask_update()
        self._fbo.draw()
        self._rectangle.texture = self._fbo.texture
        self._drawn = drawn
        return drawn

    def _lose(self, *_: object) -> None:
        """A phone may take the graphics chip's memory away from an app that is not seen."""
        self._drawn = None


def _suffices(drawn: Paper, paper: Paper) -> bool:
    """Whether what was drawn shows all of what is to be seen, and well enough."""
    if (drawn.anchor, drawn.look, drawn.dp) != (paper.anchor, paper.look, paper.dp):
        return False
    if abs(drawn.view.zoom - paper.view.zoom) > MOST_STRETCHED:
        return False
    return _holds(drawn.view, paper.view)


def _holds(outer: View, inner: View) -> bool:
    corners = (inner.in_world(0, 0), inner.in_world(inner.width, inner.height))
    shown = [outer.on_screen(x, y) for x, y in corners]
    return all(-0.5 <= x <= outer.width + 0.5 and -0.5 <= y <= outer.height + 0.5 for x, y in shown)
