"""What SDL2 draws of Thai and Arabic with the app's font is what a shaping engine draws with Noto's own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import uharfbuzz
from fontTools.pens.basePen import BasePen
from fontTools.ttLib import TTFont
from kivy.core.text import Label
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from tech_app.core.shaping import drawn
from tech_app.release import fonts
from tech_app.ui.theme import BOLD, REGULAR
from tests.support.window import Window

SIZE_PX = 64
MARGIN_PX = 32
FINER = 4  # the reference is drawn larger and made small, for smooth edges
STEPS_OF_A_CURVE = 8
Point = tuple[float, float]
# Every step is rounded; a sign in another place differs by itself.
# Parts of the ink. Steps are rounded; a sign in another place makes 0.02 to 0.6.
MOST_DIFFERENT = 0.02
MOST_IN_ARABIC = 0.06  # it has kerning, which SDL2 has not
EDGE = 128  # of 255
OVER_VOWELS = ["ดื่", "กี่", "ปั่", "ฝั่", "ญุ่", "ปี่", "สิ์", "เปิ้", "น้ำ", "ที่", "รู้", "ฟื้", "ฬี่", "ผึ้"]
WORDS = ["ดื่ม", "น้ำ", "กี่", "โต๊ะ", "ปั่น", "ฝั่ง", "ญุ่น", "ฏุ", "ฐู", "ฎู", "ศุกร์", "พันธุ์", "ก็", "เก้าอี้", "เริ่ม", "ถึง"]
ARABIC = ["السلام عليكم", "لا إله", "الأحد", "مؤسسة", "شيء", "(تجربة)", "فني الصيانة", "إلى الآن", "كهرباء"]


def seen(text: str, font: str = REGULAR) -> Image.Image:
    """What Kivy's SDL2 draws, its ink as white."""
    label = Label(text=text, font_name=font, font_size=SIZE_PX)
    label.refresh()
    texture = label.texture
    return Image.frombytes("RGBA", texture.size, texture.pixels).getchannel("A")


class Outline(BasePen):
    """The contours of a glyph as polygons."""

    def __init__(self, glyphs: Any) -> None:
        super().__init__(glyphs)
        self.contours: list[list[tuple[float, float]]] = []

    def _moveTo(self, point: tuple[float, float]) -> None:  # noqa: N802 - fontTools' names
        self.contours.append([point])

    def _lineTo(self, point: tuple[float, float]) -> None:  # noqa: N802
        self.contours[-1].append(point)

    def _curveToOne(self, one: Point, other: Point, end: Point) -> None:  # noqa: N802
        begin = self.contours[-1][-1]
        for step in range(1, STEPS_OF_A_CURVE + 1):
            at = step / STEPS_OF_A_CURVE
            parts = ((1 - at) ** 3, 3 * at * (1 - at) ** 2, 3 * at**2 * (1 - at), at**3)
            points = (begin, one, other, end)
            self.contours[-1].append(
                tuple(sum(part * point[axis] for part, point in zip(parts, points, strict=True)) for axis in (0, 1))
            )


def shaped(text: str, family: str, weight: str = "400Regular") -> Image.Image:
    """What HarfBuzz makes of it with the font that ours was made from: each glyph's outline, filled."""
    file = fonts.NOTO / family / weight / f"{family.title().replace('-', '')}_{weight}.ttf"
    font, shaper = TTFont(file), uharfbuzz.Font(uharfbuzz.Face(file.read_bytes()))
    buffer = uharfbuzz.Buffer()
    buffer.add_str(text)
    buffer.guess_segment_properties()
    uharfbuzz.shape(shaper, buffer, {})
    scale = SIZE_PX * FINER / font["head"].unitsPerEm
    size = (FINER * SIZE_PX * (len(text) + 1), FINER * SIZE_PX * 3)
    picture, x = Image.new("L", size, 0), MARGIN_PX * FINER / scale
    for info, place in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
        outline = Outline(font.getGlyphSet())
        font.getGlyphSet()[font.getGlyphName(info.codepoint)].draw(outline)
        glyph = Image.new("L", size, 0)
        for contour in sorted(outline.contours, key=area, reverse=True):  # what is cut out has its points the other way
            points = [
                ((x + place.x_offset + px) * scale, size[1] / 2 - (place.y_offset + py) * scale) for px, py in contour
            ]
            ImageDraw.Draw(glyph).polygon(points, fill=255 if area(contour) > 0 else 0)
        picture = ImageChops.lighter(picture, glyph)
        x += place.x_advance
    return picture.reduce(FINER)


def area(contour: Sequence[Point]) -> float:
    """Above nothing where the points go round clockwise."""
    return sum((bx - ax) * (by + ay) for (ax, ay), (bx, by) in pairwise([*contour, contour[0]])) / 2


def ink(picture: Image.Image) -> float:
    """How much of it is drawn, in pixels."""
    histogram = picture.histogram()
    return sum(level * n for level, n in enumerate(histogram)) / 255


def pieces(picture: Image.Image) -> int:
    """How many parts of the ink do not touch each other."""
    dark = {(x, y) for y in range(picture.height) for x in range(picture.width) if picture.getpixel((x, y)) > EDGE}
    found = 0
    while dark:
        found += 1
        reached = [dark.pop()]
        while reached:
            x, y = reached.pop()
            around = {(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)} & dark
            dark -= around
            reached += around
    return found


def difference(one: Image.Image, other: Image.Image) -> float:
    """The part of the ink of either that is further than a pixel from the other's, both put in the same corner."""
    one, other = (picture.crop(picture.getbbox()) for picture in (one, other))
    size = (max(one.width, other.width) + 2, max(one.height, other.height) + 2)
    placed = [Image.new("L", size, 0) for _ in range(2)]
    for paper, picture in zip(placed, (one, other), strict=True):
        paper.paste(picture, (1, 1))
    return max(beside(*placed), beside(*reversed(placed)))


def beside(one: Image.Image, other: Image.Image) -> float:
    """The part of the ink of one that is further than a pixel from the other's."""
    return ink(ImageChops.subtract(one, other.filter(ImageFilter.MaxFilter(3)))) / ink(one)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(("font", "weight"), [(REGULAR, "400Regular"), (BOLD, "700Bold")], ids=["regular", "bold"])
def test_thai_is_drawn_as_it_is_shaped(word: str, font: str, weight: str) -> None:
    """Every sign is where HarfBuzz puts it; without the remapping many are not."""
    assert Window
    assert difference(seen(drawn(word), font), shaped(word, "noto-sans-thai", weight)) <= MOST_DIFFERENT


def test_sdl_alone_would_not_do() -> None:
    """The reason for all this: given the text as it is, tones fall into vowels, and descenders are not taken off."""
    for word in ("ดื่ม", "น้ำ", "กี่", "ปั่น", "ญุ่น", "ฐู"):
        assert difference(seen(word), shaped(word, "noto-sans-thai")) > 2 * MOST_DIFFERENT, word


@pytest.mark.parametrize("cluster", OVER_VOWELS)
def test_a_tone_does_not_touch_the_vowel_below_it(cluster: str) -> None:
    """It is a piece of ink by itself."""
    without = "".join(sign for sign in cluster if sign not in "่้๊๋์")
    assert pieces(seen(drawn(cluster))) == pieces(seen(drawn(without))) + 1


@pytest.mark.parametrize("text", ARABIC)
def test_arabic_is_drawn_as_it_is_shaped(text: str) -> None:
    """Joined, from the right, lam and alef as one, brackets turned."""
    assert difference(seen(drawn(text)), shaped(text, "noto-sans-arabic")) <= MOST_IN_ARABIC
    assert difference(seen(text), shaped(text, "noto-sans-arabic")) > 5 * MOST_IN_ARABIC


def test_no_letter_is_cut_above_or_below() -> None:
    """The highest and the deepest letters lie within the height of a line."""
    for text in (*WORDS, *ARABIC, "Ấ", "Ǻ", "gjpqy", "ฎุ", "ญู", "ي", "چ"):
        picture = seen(drawn(text))
        _, top, _, bottom = picture.getbbox()
        assert top > 0, text
        assert bottom < picture.height, text


def test_the_licences_lie_beside_the_font() -> None:
    """As the Open Font License asks."""
    for name in fonts.LICENCES.values():
        assert "Open Font License" in (Path(REGULAR).parent / name).read_text()
