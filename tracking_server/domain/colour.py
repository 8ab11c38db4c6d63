"""A firm's colour as its customers can read it: contrast by WCAG 2.2, light and dark."""

from __future__ import annotations

from dataclasses import dataclass

TEXT_CONTRAST = 4.5  # AA, for text of any size; marks would do with 3
STEPS = 50  # towards black or white, 2 % each
DEFAULT = "#1f5fbf"
LIGHT_PAPERS = ("#ffffff", "#f3f5f7")  # what stands behind it: --card and --paper in styles/tokens.css
DARK_PAPERS = ("#1a232c", "#10171e")


@dataclass(frozen=True, slots=True)
class Palette:
    """A firm's colour as `#rrggbb`: `fill`, its own, for surfaces; `on_fill` for text on them; the inks for text and
    marks of its hue on the papers of the light and the dark theme."""

    fill: str
    on_fill: str
    ink_light: str
    ink_dark: str


def palette(colour: str | None) -> Palette:
    """What to paint with for a firm whose colour is `#rrggbb`; with DEFAULT when it has none."""
    fill = colour or DEFAULT
    return Palette(
        fill=fill,
        on_fill=max(("#ffffff", "#000000"), key=lambda text: contrast(fill, text)),
        ink_light=_readable(fill, LIGHT_PAPERS, "#000000"),
        ink_dark=_readable(fill, DARK_PAPERS, "#ffffff"),
    )


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _readable(colour: str, papers: tuple[str, ...], away: str) -> str:
    """The nearest shade that can be read on all papers; `away` is where contrast to them grows."""
    shades = (_mix(colour, away, step / STEPS) for step in range(STEPS))
    return next((shade for shade in shades if min(contrast(shade, paper) for paper in papers) >= TEXT_CONTRAST), away)


def _mix(colour: str, other: str, share: float) -> str:
    """`share` of the other, the rest of the one."""
    pairs = zip(_rgb(colour), _rgb(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _luminance(colour: str) -> float:
    """Relative luminance, 0 to 1."""
    parts = [part / 255 for part in _rgb(colour)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
