"""Portraits of the demo's technicians, drawn: people who do not exist, and belong to nobody.

Coordinates are on a sheet of 100 by 100, the head around (50, 44). Everything is drawn four times as large and then
made smaller, which smooths its edges.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

SIZE_PX = 256
SMOOTHING = 4
QUALITY = 88

Colour = str
Box = tuple[float, float, float, float]
Places = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Look:
    """Who is drawn, in the colours of what is seen."""

    background: Colour
    skin: Colour
    shade: Colour  # of the skin, below the chin and at the nose
    hair: Colour
    lips: Colour
    shirt: Colour
    jacket: Colour
    trim: Colour  # of the jacket


LOOKS = (
    Look("#f6d7a7", "#d99a6c", "#bd7f55", "#3b2318", "#a8483f", "#f4f1ea", "#2f7d6b", "#f2b544"),
    Look("#bcd9ea", "#7a4a2f", "#633a24", "#1c1412", "#8c3f3a", "#e9e4d8", "#2b4a7c", "#f08a3c"),
    Look("#d9d2ec", "#f2c9ac", "#dcab8b", "#b9bcc0", "#c2655c", "#dfe8ef", "#a33b3b", "#efe6d2"),
)


def portrait(number: int) -> bytes:
    """One of three friendly people, as a WebP of 256 by 256 pixels; from the fourth on they come again."""
    which = number % len(LOOKS)
    look = LOOKS[which]
    sheet = _Sheet(look.background)
    hair_behind, hair_before, extras = HAIR[which]
    _backdrop(sheet, look)
    hair_behind(sheet, look)
    _shoulders(sheet, look)
    _head(sheet, look)
    hair_before(sheet, look)
    _face(sheet, look)
    extras(sheet, look)
    return sheet.webp()


class _Sheet:
    """What is drawn on, by its own coordinates."""

    def __init__(self, colour: Colour) -> None:
        self._scale = SIZE_PX * SMOOTHING / 100
        self.image = Image.new("RGB", (SIZE_PX * SMOOTHING,) * 2, colour)
        self._draw = ImageDraw.Draw(self.image)

    def ellipse(self, box: Box, colour: Colour) -> None:
        self._draw.ellipse(self._box(box), fill=colour)

    def ring(self, box: Box, colour: Colour, width: float) -> None:
        self._draw.ellipse(self._box(box), outline=colour, width=round(width * self._scale))

    def rounded(self, box: Box, radius: float, colour: Colour) -> None:
        self._draw.rounded_rectangle(self._box(box), radius * self._scale, fill=colour)

    def polygon(self, places: Places, colour: Colour) -> None:
        self._draw.polygon([(x * self._scale, y * self._scale) for x, y in places], fill=colour)

    def curve(self, places: Places, colour: Colour, width: float) -> None:
        """A smooth line with round ends, through the first and the last place and towards the one in between."""
        (x1, y1), (x2, y2), (x3, y3) = places
        for i in range(steps := 60):
            t = i / (steps - 1)
            x = (1 - t) ** 2 * x1 + 2 * t * (1 - t) * x2 + t**2 * x3
            y = (1 - t) ** 2 * y1 + 2 * t * (1 - t) * y2 + t**2 * y3
            self.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), colour)

    def half_moon(self, box: Box, colour: Colour) -> None:
        """The lower half of an ellipse."""
        self._draw.chord(self._box(box), 0, 180, fill=colour)

    def dome(self, box: Box, colour: Colour) -> None:
        """The upper half of an ellipse."""
        self._draw.chord(self._box(box), 180, 360, fill=colour)

    def webp(self) -> bytes:
        """Smoothed, in its final size."""
        small = self.image.resize((SIZE_PX, SIZE_PX), Image.Resampling.LANCZOS)
        written = io.BytesIO()
        small.save(written, "WEBP", quality=QUALITY, method=6)
        return written.getvalue()

    def _box(self, box: Box) -> Box:
        x1, y1, x2, y2 = (value * self._scale for value in box)
        return x1, y1, x2, y2


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    """`share` of the other in one."""
    pairs = [(int(one[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _backdrop(sheet: _Sheet, look: Look) -> None:
    sheet.ellipse((4, 2, 96, 94), _mixed(look.background, "#ffffff", 0.35))


def _shoulders(sheet: _Sheet, look: Look) -> None:
    dark = _mixed(look.jacket, "#000000", 0.2)
    sheet.rounded((14, 76, 86, 130), 20, look.jacket)
    sheet.polygon([(36, 76), (64, 76), (58, 100), (42, 100)], look.shirt)
    sheet.polygon([(42, 60), (58, 60), (58, 79.5), (42, 79.5)], look.shade)
    sheet.half_moon((42, 72, 58, 87), look.shade)
    sheet.polygon([(37, 74), (43, 73), (49, 92), (42, 88)], dark)
    sheet.polygon([(63, 74), (57, 73), (51, 92), (58, 88)], dark)
    for x in (21.5, 73.5):
        sheet.rounded((x, 88, x + 5, 104), 1, look.trim)


def _head(sheet: _Sheet, look: Look) -> None:
    for x in (27.5, 64.5):
        sheet.ellipse((x, 41, x + 8, 53), look.skin)
        sheet.ellipse((x + 2.4, 44, x + 5.6, 50.5), look.shade)
    sheet.rounded((31, 20, 69, 70), 18.5, look.skin)


def _face(sheet: _Sheet, look: Look) -> None:
    dark = "#241a17"
    for x in (41.5, 58.5):
        sheet.ellipse((x - 3.2, 42.2, x + 3.2, 48.2), "#ffffff")
        sheet.ellipse((x - 2.5, 42.4, x + 2.5, 48), dark)
        sheet.ellipse((x + 0.1, 43.3, x + 1.7, 44.9), "#ffffff")
        brow = _mixed(look.hair, dark, 0.35)
        sheet.curve([(x - 4.2, 39.4), (x, 36.4), (x + 4.2, 39.2)], brow, 1.5)
    sheet.curve([(49.4, 46.5), (46.8, 53.2), (51.2, 53.4)], look.shade, 1.3)
    cheeks = _mixed(look.skin, "#e2574c", 0.16)
    for x in (37.8, 62.2):
        sheet.ellipse((x - 3.2, 49.6, x + 3.2, 53.8), cheeks)
    sheet.half_moon((42.2, 50.6, 57.8, 65.2), look.lips)
    sheet.half_moon((43.6, 53.4, 56.4, 61.4), "#ffffff")


def _bun_behind(sheet: _Sheet, look: Look) -> None:
    sheet.ellipse((39, 2, 61, 22), look.hair)
    sheet.rounded((27, 16, 73, 60), 22, look.hair)


def _parted(sheet: _Sheet, look: Look) -> None:
    light = _mixed(look.hair, "#ffffff", 0.12)
    sheet.polygon([(55, 18), (32.6, 23.5), (28.5, 46), (33, 43), (38, 34), (50, 28), (58, 22)], look.hair)
    sheet.polygon([(53, 18), (67.4, 23.5), (71.5, 46), (67, 43), (63, 35), (56, 29), (52, 23)], look.hair)
    sheet.dome((30, 14, 70, 42), look.hair)
    sheet.polygon([(38, 33), (54, 21), (60, 22), (66, 31), (68, 36), (58, 29), (46, 30)], look.hair)
    sheet.curve([(56, 17.5), (44, 19), (36, 29)], light, 0.9)
    for x in (30.5, 69.5):
        sheet.ellipse((x - 1.3, 52, x + 1.3, 54.6), look.trim)


def _nothing(_sheet: _Sheet, _look: Look) -> None:
    pass


def _short(sheet: _Sheet, look: Look) -> None:
    """Close-cropped, with a beard."""
    sheet.dome((30, 14.5, 70, 50), look.hair)
    sheet.rounded((30, 30, 34, 43), 2, look.hair)
    sheet.rounded((66, 30, 70, 43), 2, look.hair)
    sheet.rounded((33.4, 27.5, 66.6, 50), 12, look.skin)
    beard = _mixed(look.hair, look.skin, 0.2)
    sheet.rounded((31, 44, 69, 70.6), 18.2, beard)
    sheet.rounded((31, 36, 33.4, 54), 1, beard)
    sheet.rounded((66.6, 36, 69, 54), 1, beard)
    sheet.rounded((33.4, 36, 66.6, 60.5), 14, look.skin)
    sheet.ellipse((39.6, 56, 60.4, 70), beard)
    sheet.curve([(50, 56), (43.5, 54.6), (40.4, 62)], beard, 2.8)
    sheet.curve([(50, 56), (56.5, 54.6), (59.6, 62)], beard, 2.8)


def _grey(sheet: _Sheet, look: Look) -> None:
    """Combed to the side, going back at the temples."""
    dark = _mixed(look.hair, "#000000", 0.12)
    sheet.rounded((29.4, 30, 33.4, 45), 2, dark)
    sheet.rounded((66.6, 30, 70.6, 45), 2, dark)
    sheet.dome((29.5, 12.5, 70.5, 45), look.hair)
    sheet.polygon([(29.8, 28), (70.2, 28), (69, 32.5), (62, 30.5), (50, 29.5), (40, 31.5), (31, 34.5)], look.hair)
    for y in (18.5, 22.5):
        sheet.curve([(37, y + 4), (50, y - 4.5), (65, y + 3)], dark, 0.8)


def _glasses(sheet: _Sheet, look: Look) -> None:
    """And a moustache."""
    frame = "#3a3f4a"
    for x in (41.5, 58.5):
        sheet.ring((x - 6.2, 39.4, x + 6.2, 51.2), frame, 1.1)
    sheet.curve([(47.6, 44.4), (50, 42.8), (52.4, 44.4)], frame, 1.1)
    sheet.curve([(35.4, 43.8), (33.4, 43.2), (31.4, 43.6)], frame, 1.1)
    sheet.curve([(64.6, 43.8), (66.6, 43.2), (68.6, 43.6)], frame, 1.1)
    moustache = _mixed(look.hair, "#ffffff", 0.1)
    sheet.curve([(50, 55.6), (44.5, 54.8), (41.6, 58.4)], moustache, 2.6)
    sheet.curve([(50, 55.6), (55.5, 54.8), (58.4, 58.4)], moustache, 2.6)


Drawn = Callable[[_Sheet, Look], None]
HAIR: tuple[tuple[Drawn, Drawn, Drawn], ...] = (
    (_bun_behind, _parted, _nothing),
    (_nothing, _short, _nothing),
    (_nothing, _grey, _glasses),
)
