"""Puts pictures of tiles on the graphics chip, and the marks above them.

Everything is triangles of one shader: dragging and pinching change a few numbers, not the triangles. Edges are soft
without multisampling, which not every phone has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kivy.graphics import ChangeState, InstructionGroup, Mesh, RenderContext

from tech_app.core.map.lines import Triangles
from tech_app.core.map.marks import Mark
from tech_app.core.map.mercator import Tile
from tech_app.core.map.paper import Paper
from tech_app.core.map.picture import EDGED, Picture
from tech_app.core.map.style import EDGE, STROKES, Paint

FORMAT = [(b"at", 2, "float"), (b"away", 2, "float"), (b"side", 1, "float")]
# `at` is in steps from the anchor; `away` in half widths, which the shader makes half a pixel wider to soften the edge.
VERTEX_SHADER = """
#ifdef GL_ES
    precision highp float;
#endif
uniform mat4 modelview_mat;
uniform mat4 projection_mat;
uniform vec2 origin;
uniform float scale;
uniform float half_width;
attribute vec2 at;
attribute vec2 away;
attribute float side;
varying float from_middle;

void main() {
    float reach = half_width + 0.5;
    from_middle = side * reach;
    gl_Position = projection_mat * modelview_mat * vec4(origin + at * scale + away * reach, 0.0, 1.0);
}
"""
FRAGMENT_SHADER = """
#ifdef GL_ES
    precision highp float;
#endif
uniform vec4 tint;
uniform float half_width;
varying float from_middle;

void main() {
    float cover = clamp(half_width + 0.5 - abs(from_middle), 0.0, min(1.0, 2.0 * half_width));
    gl_FragColor = vec4(tint.rgb, tint.a * cover);
}
"""
SOLID = 1.0  # half a width that makes areas whole


@dataclass(frozen=True, slots=True)
class _Pass:
    """One colour and width, and what is drawn with it."""

    state: ChangeState
    meshes: InstructionGroup


class Surface(RenderContext):
    """Instructions that draw triangles counted from the anchor of a paper."""

    def __init__(self) -> None:
        super().__init__(vs=VERTEX_SHADER, fs=FRAGMENT_SHADER, use_parent_projection=True, use_parent_modelview=True)
        self["origin"] = (0.0, 0.0)
        self["scale"] = 1.0

    def stand(self, paper: Paper, left: float, bottom: float) -> None:
        """From where and how near it is seen; `left`, `bottom` is the view's corner, in pixels."""
        x, y = paper.on_screen(0, 0)
        self["origin"] = (left + x, bottom + y)
        self["scale"] = paper.px_per_step

    def _pass(self) -> _Pass:
        made = _Pass(ChangeState(tint=(0.0, 0.0, 0.0, 0.0), half_width=SOLID), InstructionGroup())
        self.add(made.state)
        self.add(made.meshes)
        return made


class Land(Surface):
    """The pictures of tiles."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[Tile, tuple[Picture, list[tuple[InstructionGroup, Mesh]]]] = {}
        self._areas: dict[Paint, _Pass] = {}
        self._edges: dict[Paint, _Pass] = {}
        self._lines: dict[Paint, _Pass] = {}
        for paint in Paint:
            if paint in STROKES:
                self._lines[paint] = self._pass()
            else:
                self._areas[paint] = self._pass()
            if paint in EDGED:
                self._edges[paint] = self._pass()

    def stand(self, paper: Paper, left: float, bottom: float) -> None:
        super().stand(paper, left, bottom)
        view, look, dp = paper.view, paper.look, paper.dp
        for paint, area in self._areas.items():
            area.state.changes = {"tint": (*look.paints[paint], 1.0), "half_width": SOLID}
        for paint, edge in self._edges.items():
            tint = look.building_edge if paint is Paint.building else look.paints[paint]
            edge.state.changes = {"tint": (*tint, 1.0), "half_width": EDGE.width_dp(view.zoom) * dp / 2}
        for paint, line in self._lines.items():
            half_width = STROKES[paint].width_dp(view.zoom) * dp / 2
            line.state.changes = {"tint": (*look.paints[paint], 1.0), "half_width": half_width}

    def show(self, pictures: Mapping[Tile, Picture]) -> bool:
        """These pictures and no others. Says whether that is a change."""
        gone = [tile for tile, (picture, _) in self._shown.items() if pictures.get(tile) is not picture]
        for tile in gone:
            for group, mesh in self._shown.pop(tile)[1]:
                group.remove(mesh)
        new = [tile for tile in pictures if tile not in self._shown]
        for tile in new:
            self._shown[tile] = (pictures[tile], self._put(pictures[tile]))
        return bool(gone or new)

    def _put(self, picture: Picture) -> list[tuple[InstructionGroup, Mesh]]:
        drawn = [(self._areas, picture.areas), (self._edges, picture.edges), (self._lines, picture.lines)]
        put = []
        for passes, triangles in drawn:
            for paint, made in triangles.items():
                for mesh in meshes(made):
                    passes[paint].meshes.add(mesh)
                    put.append((passes[paint].meshes, mesh))
        return put


class Marks(Surface):
    """What stands above the map."""

    def __init__(self) -> None:
        super().__init__()
        self._passes: list[_Pass] = []

    def mark(self, marks: Sequence[Mark]) -> None:
        """These marks and no others, the first at the bottom."""
        while len(self._passes) < len(marks):
            self._passes.append(self._pass())
        for drawn, mark in zip(self._passes, marks, strict=False):
            drawn.state.changes = {"tint": mark.tint, "half_width": mark.half_width}
            drawn.meshes.clear()
            for mesh in meshes(mark.triangles):
                drawn.meshes.add(mesh)
        for unused in self._passes[len(marks) :]:
            unused.meshes.clear()


def meshes(triangles: Triangles) -> list[Mesh]:
    """Instructions that draw them."""
    return [
        Mesh(vertices=vertices, indices=indices, mode="triangles", fmt=FORMAT)
        for vertices, indices in triangles.pieces
        if indices
    ]
