"""Make the app's font, one file for each weight: Latin, Greek, Cyrillic, Thai, Arabic and the icons.

    npm ci --prefix tech_app/release --ignore-scripts
    python -m tech_app.release.fonts [FOLDER]

Kivy takes every letter of a text from one file and shapes nothing. So the fonts are merged, and each Thai consonant
gets a glyph with each pair of signs that can stand on it, put together here where HarfBuzz puts them.
"""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uharfbuzz
from fontTools.misc.transform import Transform
from fontTools.pens.transformPen import TransformPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont, newTable
from fontTools.ttLib.tables._g_l_y_f import Glyph, GlyphComponent

from tech_app.core.shaping import CONSONANTS, TONES, VOWELS, cluster_code
from tech_app.ui.icons import CODES, ICONS

PACKAGES = Path(__file__).parent / "node_modules"
FONTS = Path(__file__).parents[1] / "fonts"
FAMILY = "Doorstep Sans"
WEIGHTS = {"Regular": "400Regular", "Bold": "700Bold"}
NOTO = PACKAGES / "@expo-google-fonts"
ICON_FONT = PACKAGES / "@fontsource" / "material-icons" / "files" / "material-icons-latin-400-normal.woff"
LICENCES = {
    NOTO / "noto-sans" / "LICENSE_FONT": "NotoSans.LICENSE",
    NOTO / "noto-sans-thai" / "LICENSE_FONT": "NotoSansThai.LICENSE",
    NOTO / "noto-sans-arabic" / "LICENSE_FONT": "NotoSansArabic.LICENSE",
    PACKAGES / "@fontsource" / "material-icons" / "LICENSE": "MaterialIcons.LICENSE",
}


def span(*ranges: tuple[int, int]) -> frozenset[int]:
    return frozenset(code for first, last in ranges for code in range(first, last + 1))


LATIN = span((0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x304), (0x370, 0x3FF), (0x400, 0x4FF), (0x1E00, 0x1EFF)) | span(
    (0x2010, 0x2027), (0x202F, 0x203A), (0x2070, 0x209C), (0x20A0, 0x20C0), (0x2100, 0x215F), (0x2190, 0x2199)
)
THAI = span((0x0E01, 0x0E5B), (0x25CC, 0x25CC))
# Signs that only the Qur'an has are very high; without them lines need not be.
ARABIC = span(
    (0x600, 0x60F), (0x61B, 0x6D5), (0x6EE, 0x6FF), (0xFB50, 0xFBB1), (0xFBD3, 0xFBE9), (0xFBFC, 0xFBFF)
) | span((0xFDF2, 0xFDF2), (0xFE70, 0xFEFC))
ASCENT, DESCENT = 1069, -450  # per mille of the size: the Latin's above, the Thai's below
MIDDLE = (ASCENT + DESCENT) / 2
ICON_UNITS = 1000


@dataclass(frozen=True)
class Placed:
    """A glyph and where it lies in a cluster."""

    name: str
    x: int
    y: int


@dataclass(frozen=True)
class Cluster:
    """A consonant with its signs, `advance` wide."""

    code: int
    parts: tuple[Placed, ...]
    advance: int


def main(arguments: Sequence[str]) -> None:
    folder = Path(arguments[0]) if arguments else FONTS
    if not ICON_FONT.exists():
        sys.exit(f"fonts: the packages are not there; run: npm ci --ignore-scripts --prefix {Path(__file__).parent}")
    folder.mkdir(parents=True, exist_ok=True)
    for weight, name in WEIGHTS.items():
        merged(weight, name).save(folder / f"{FAMILY.replace(' ', '')}-{weight}.ttf")
    for source, name in LICENCES.items():
        shutil.copyfile(source, folder / name)


def merged(weight: str, name: str) -> TTFont:
    """The font of one weight."""
    latin, thai, arabic = (
        NOTO / package / name / f"{family}_{name}.ttf"
        for package, family in (
            ("noto-sans", "NotoSans"),
            ("noto-sans-thai", "NotoSansThai"),
            ("noto-sans-arabic", "NotoSansArabic"),
        )
    )
    clusters = list(thai_clusters(thai))
    font = only(TTFont(latin, recalcTimestamp=False), LATIN)
    take(font, only(TTFont(thai), THAI, {part.name for cluster in clusters for part in cluster.parts}), "thai.")
    take(font, only(TTFont(arabic), ARABIC), "arabic.")
    compose(font, clusters)
    draw_icons(font)
    finish(font, weight)
    return font


def thai_clusters(path: Path) -> Iterable[Cluster]:
    """Every consonant with every sign and pair of signs, as HarfBuzz lays them out."""
    font = uharfbuzz.Font(uharfbuzz.Face(path.read_bytes()))
    names = TTFont(path).getGlyphOrder()
    for consonant in CONSONANTS:
        for vowel in VOWELS:
            for tone in TONES:
                if not vowel and not tone:
                    continue
                buffer = uharfbuzz.Buffer()
                buffer.add_str(consonant + vowel + tone)
                buffer.guess_segment_properties()
                uharfbuzz.shape(font, buffer, {})
                x = 0
                parts = []
                for glyph, place in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
                    parts.append(Placed(names[glyph.codepoint], x + place.x_offset, place.y_offset))
                    x += place.x_advance
                yield Cluster(cluster_code(consonant, vowel, tone), tuple(parts), x)


def only(font: TTFont, codes: Iterable[int], names: Iterable[str] = ()) -> TTFont:
    """The font with the glyphs for these characters alone, and nothing that shapes."""
    options = Options(layout_features=[], hinting=False, glyph_names=True, notdef_outline=True, name_IDs=[])
    options.drop_tables += ["GSUB", "GPOS", "GDEF", "STAT"]
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=codes, glyphs=names)
    subsetter.subset(font)
    saved = io.BytesIO()  # the subsetter leaves some tables half done
    font.save(saved)
    return TTFont(saved, recalcTimestamp=False)  # the same font from the same sources


def take(font: TTFont, other: TTFont, prefix: str) -> None:
    """Add the other's glyphs under names of their own, and the characters that the font lacks."""
    for name in other.getGlyphOrder():
        glyph = other["glyf"][name]
        if glyph.isComposite():
            for component in glyph.components:
                component.glyphName = prefix + component.glyphName
        put(font, prefix + name, glyph, other["hmtx"][name])
    for code, name in other.getBestCmap().items():
        if code not in font.getBestCmap():
            put_code(font, code, prefix + name)


def put(font: TTFont, name: str, glyph: Glyph, metrics: tuple[int, int]) -> None:
    font["glyf"][name] = glyph
    font["hmtx"][name] = metrics


def put_code(font: TTFont, code: int, name: str) -> None:
    for table in font["cmap"].tables:
        if table.isUnicode():
            table.cmap[code] = name


def compose(font: TTFont, clusters: Iterable[Cluster]) -> None:
    for cluster in clusters:
        glyph = Glyph()
        glyph.numberOfContours = -1
        glyph.components = []
        for part in cluster.parts:
            component = GlyphComponent()
            component.glyphName, component.x, component.y = f"thai.{part.name}", part.x, part.y
            component.flags = 0x0002 | 0x0004  # offsets in units, rounded to the grid
            glyph.components.append(component)
        name = f"thai.u{cluster.code:04X}"
        glyph.recalcBounds(font["glyf"])
        put(font, name, glyph, (cluster.advance, glyph.xMin))
        put_code(font, cluster.code, name)


def draw_icons(font: TTFont) -> None:
    """Each as high as a line's letters and as wide as high, its middle in the middle of the line."""
    icons = TTFont(ICON_FONT)
    named = icon_names(icons)
    scale = ICON_UNITS / icons["head"].unitsPerEm
    middle = (icons["hhea"].ascent + icons["hhea"].descent) / 2 * scale
    for icon, theirs in ICONS.items():
        pen = TTGlyphPen(None)
        place = Transform(scale, 0, 0, scale, 0, MIDDLE - middle)
        icons.getGlyphSet()[named[theirs]].draw(TransformPen(pen, place))
        glyph = pen.glyph()
        glyph.recalcBounds(font["glyf"])
        put(font, f"icon.{icon}", glyph, (ICON_UNITS, glyph.xMin))
        put_code(font, CODES[icon], f"icon.{icon}")


def icon_names(icons: TTFont) -> dict[str, str]:
    """Google's name of each icon, which the font turns into it as a ligature, and its glyph."""
    letter = {name: chr(code) for code, name in icons.getBestCmap().items()}
    found = {}
    for lookup in icons["GSUB"].table.LookupList.Lookup:
        for table in lookup.SubTable:
            table = getattr(table, "ExtSubTable", table)
            for first, ligatures in getattr(table, "ligatures", {}).items():
                for ligature in ligatures:
                    found["".join(letter[name] for name in (first, *ligature.Component))] = ligature.LigGlyph
    return found


def finish(font: TTFont, weight: str) -> None:
    """Its name, and how high a line is: no glyph that is drawn is cut."""
    font["hhea"].ascent = font["OS/2"].sTypoAscender = font["OS/2"].usWinAscent = ASCENT
    font["hhea"].descent = font["OS/2"].sTypoDescender = DESCENT
    font["OS/2"].usWinDescent = -DESCENT
    names = newTable("name")
    names.names = []
    whole = f"{FAMILY} {weight}"
    for id_, text in {1: FAMILY, 2: weight, 3: whole, 4: whole, 6: whole.replace(" ", "-")}.items():
        names.setName(text, id_, 3, 1, 0x409)
    font["name"] = names


if __name__ == "__main__":
    main(sys.argv[1:])
