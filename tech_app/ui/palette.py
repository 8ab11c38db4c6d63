"""The colours by their role, for the sun and for the night: pure.

Body text has at least 7:1 against what it lies on, every other text 4.5:1, and an edge that one has to see 3:1.
"""

from __future__ import annotations

from dataclasses import dataclass

NIGHT, COAL, ASH, STEEL, FOG, SNOW, WHITE = "#0d1319", "#19222b", "#31404d", "#8b9aa8", "#d6dee5", "#f1f4f7", "#ffffff"
INK, SLATE, PEWTER = "#0f1a24", "#3f4c58", "#6b7885"


@dataclass(frozen=True, slots=True)
class Palette:
    """A colour as #rrggbb for each role.

    `paper` lies under everything, `card` on it; `ink` is text, `soft` text of lesser weight, `line` parts things that
    also a gap parts, `edge` bounds what can be touched. A `..._paper` is the ground of its `..._ink`, `accent` and
    `danger` are the grounds of the buttons that act, `accent_ink` and `bad_ink` are also read on paper and card.
    """

    paper: str
    card: str
    ink: str
    soft: str
    line: str
    edge: str
    accent: str
    ink_on_accent: str
    accent_ink: str
    danger: str
    ink_on_danger: str
    good_paper: str
    good_ink: str
    warn_paper: str
    warn_ink: str
    bad_paper: str
    bad_ink: str
    calm_paper: str
    calm_ink: str
    held: str
    bar: str


LIGHT = Palette(
    paper=SNOW,
    card=WHITE,
    ink=INK,
    soft=SLATE,
    line=FOG,
    edge=PEWTER,
    accent="#0a4f99",
    ink_on_accent=WHITE,
    accent_ink="#0a4a8f",
    danger="#a3160f",
    ink_on_danger=WHITE,
    good_paper="#dcf2e2",
    good_ink="#0d4224",
    warn_paper="#ffedc7",
    warn_ink="#573200",
    bad_paper="#fde2df",
    bad_ink="#86120c",
    calm_paper="#e2e8ee",
    calm_ink="#26323d",
    held="#06305e",
    bar=WHITE,
)
DARK = Palette(
    paper=NIGHT,
    card=COAL,
    ink=SNOW,
    soft="#b9c5d0",
    line=ASH,
    edge=STEEL,
    accent="#8fc4ff",
    ink_on_accent="#05203d",
    accent_ink="#9cccff",
    danger="#ffaaa2",
    ink_on_danger="#430503",
    good_paper="#113a20",
    good_ink="#c0f3cf",
    warn_paper="#402d08",
    warn_ink="#ffdf9e",
    bad_paper="#4d1511",
    bad_ink="#ffc9c4",
    calm_paper="#2a3742",
    calm_ink="#dde6ee",
    held="#cfe5ff",
    bar=COAL,
)


def contrast(colour: str, other: str) -> float:
    """How well one is seen on the other, from 1 to 21, as WCAG counts it."""
    lighter, darker = sorted((_luminance(colour), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
