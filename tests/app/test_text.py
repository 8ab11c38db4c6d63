"""What SDL2 draws of Thai and Arabic with the app's font is what a shaping engine draws with Noto's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from kivy.core.text import Label
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, features

from tech_app.core.shaping import drawn
from tech_app.release import fonts
from tech_app.ui.theme import BOLD, REGULAR
from tests.support.window import Window

SIZE_PX = 64
MARGIN_PX = 32
# SDL2 rounds every step and knows no kerning; a sign in another place differs by itself.
MOST_DIFFERENT = 0.05
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


def shaped(text: str, family: str, weight: str = "400Regular") -> Image.Image:
    """What Pillow draws with HarfBuzz and the font that ours was made from."""
    file = fonts.NOTO / family / weight / f"{family.title().replace('-', '')}_{weight}.ttf"
    font = ImageFont.truetype(str(file), SIZE_PX, layout_engine=ImageFont.Layout.RAQM)
    left, _, right, _ = font.getbbox(text)
    picture = Image.new("L", (int(right - min(0, left)) + 2 * MARGIN_PX, 3 * SIZE_PX), 0)
    ImageDraw.Draw(picture).text((MARGIN_PX, MARGIN_PX), text, font=font, fill=255)
    return picture


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
    assert features.check("raqm")
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
    assert difference(seen(drawn(text)), shaped(text, "noto-sans-arabic")) <= MOST_DIFFERENT
    assert difference(seen(text), shaped(text, "noto-sans-arabic")) > 5 * MOST_DIFFERENT


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
