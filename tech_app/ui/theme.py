"""The colours now and the sizes: what kv and widgets bind to, so that a change of theme is seen at once.

#:import theme tech_app.ui.theme.theme
Color:
    rgba: theme.paper
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

from kivy.event import EventDispatcher
from kivy.properties import BooleanProperty, ColorProperty
from kivy.utils import platform

from tech_app.ui.palette import DARK, LIGHT, Palette

FONTS = Path(__file__).parents[1] / "fonts"
REGULAR, BOLD = str(FONTS / "DoorstepSans-Regular.ttf"), str(FONTS / "DoorstepSans-Bold.ttf")

# Text sizes in sp: they follow the size that the technician set for the whole phone.
TITLE_SP, HEADING_SP, BODY_SP, SMALL_SP, NUMBER_SP = 26, 20, 17, 15, 34
# Lengths in dp. A target is for a thumb in a glove.
TARGET_DP, GAP_DP, EDGE_DP, ROUND_DP = 56, 8, 16, 14
LEAST_TEXT_SP = SMALL_SP


class Painted(Protocol):
    """What changes its colours with the theme."""

    def paint(self) -> None:
        """Take them as they are now."""
        ...


class Theme(EventDispatcher):
    """One colour property for each role of `Palette`; `use` changes them all."""

    dark = BooleanProperty(False)
    locals().update({role.name: ColorProperty(getattr(LIGHT, role.name)) for role in fields(Palette)})

    def __init__(self) -> None:
        super().__init__()
        self._painted: WeakSet[Painted] = WeakSet()

    def paints(self, widget: Painted) -> None:
        """Have it painted again when the theme changes, as long as it is there. (Bound ones would pile up.)"""
        self._painted.add(widget)

    def use(self, choice: str) -> None:
        """`light`, `dark`, or `system`: what the phone is set to."""
        dark = choice == "dark" or (choice == "system" and system_is_dark())
        palette = DARK if dark else LIGHT
        self.dark = dark
        for role in fields(Palette):
            setattr(self, role.name, getattr(palette, role.name))
        for widget in list(self._painted):
            widget.paint()


def system_is_dark() -> bool:
    """Whether the phone is set to dark. Only Android tells (not tried on a phone); elsewhere it is light."""
    if platform != "android":
        return False
    from jnius import autoclass  # on the phone only

    configuration = autoclass("android.content.res.Configuration")
    now = autoclass("org.kivy.android.PythonActivity").mActivity.getResources().getConfiguration()
    return bool(now.uiMode & configuration.UI_MODE_NIGHT_MASK == configuration.UI_MODE_NIGHT_YES)


theme = Theme()
