"""What is touched to act."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kivy.graphics import Color, Line, RoundedRectangle
from kivy.metrics import dp
from kivy.properties import OptionProperty, StringProperty
from kivy.uix.behaviors import ButtonBehavior
from kivy.uix.widget import Widget

from tech_app.ui import words
from tech_app.ui.theme import GAP_DP, ROUND_DP, TARGET_DP, theme
from tech_app.ui.widgets.icon import Icon
from tech_app.ui.widgets.text import Text

# Ground, words and border of each kind, as names of colours of the theme; an empty ground is none.
KINDS = {
    "primary": ("accent", "ink_on_accent", "accent"),
    "danger": ("danger", "ink_on_danger", "danger"),
    "secondary": ("card", "accent_ink", "edge"),
    "quiet": ("", "accent_ink", ""),
    "danger_quiet": ("", "bad_ink", ""),
    "inverse": ("", "paper", ""),  # on a ground of ink
}


class PushButton(ButtonBehavior, Widget):
    """Words, an icon, or both; `on_tap` is called when it is touched and let go of on it.

    As high as its words need, and never lower than a thumb. `kind` is primary (one on a screen: what comes next),
    secondary, quiet, danger or danger_quiet.
    """

    text = StringProperty("")
    icon = StringProperty("")
    kind = OptionProperty("secondary", options=list(KINDS))

    def __init__(
        self,
        text: str = "",
        *,
        kind: str = "secondary",
        icon: str = "",
        on_tap: Callable[[], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("size_hint_y", None)
        super().__init__(text=text, kind=kind, icon=icon, **kwargs)
        self.always_release = False
        self._on_tap = on_tap
        with self.canvas.before:
            self._ground = Color()
            self._shape = RoundedRectangle(radius=[dp(ROUND_DP)])
            self._border = Color()
            self._outline = Line(width=dp(1.2))
        self.words = Text(text, role="strong", align="center" if not icon else "start")
        self.sign = Icon(icon)
        self.add_widget(self.sign)
        self.add_widget(self.words)
        for name in ("x", "y", "width", "height"):
            self.fbind(name, self._place)
        for name in ("kind", "state", "disabled"):
            self.fbind(name, self.paint)
        self.fbind("text", self._say)
        self.fbind("icon", self._say)
        theme.paints(self)
        self.paint()
        self._place()

    def on_release(self) -> None:
        if self._on_tap is not None:
            self._on_tap()

    def _say(self, *_: object) -> None:
        self.words.text, self.sign.icon = self.text, self.icon
        self._place()

    @property
    def natural_width(self) -> float:
        """In pixels, with the words on as few lines as they have."""
        words_px = max((self.words.measure(line) for line in self.text.split("\n")), default=0.0)
        return self.sign.width + self._gap + words_px + 2 * self._padding

    @property
    def _gap(self) -> float:
        return float(dp(GAP_DP)) if self.icon and self.text else 0.0

    @property
    def _padding(self) -> float:
        return float(dp(GAP_DP)) if self.text else 0.0

    def _place(self, *_: object) -> None:
        """Icon and words together in the middle; the words wrap where they need to."""
        gap, padding = self._gap, self._padding
        natural = self.natural_width - self.sign.width - gap - 2 * padding
        if self.size_hint_x is None:
            self.width = max(dp(TARGET_DP), self.natural_width + 2 * padding)
        room = max(1.0, self.width - 2 * padding - self.sign.width - gap)
        self.words.width = min(room, natural + 1) if self.text else 0
        if self.size_hint_y is None:
            self.height = max(dp(TARGET_DP), self.words.height + dp(GAP_DP) * 1.5)
        whole = self.sign.width + gap + self.words.width
        begin = self.x + (self.width - whole) / 2  # not self.center_x: still the old one while x changes
        if words.is_right_to_left():
            self.words.x, self.sign.x = begin, begin + self.words.width + gap
        else:
            self.sign.x, self.words.x = begin, begin + self.sign.width + gap
        for part in (self.sign, self.words):
            part.y = self.y + (self.height - part.height) / 2
        self._shape.pos, self._shape.size = self.pos, self.size
        self._outline.rounded_rectangle = (*self.pos, *self.size, dp(ROUND_DP))

    def paint(self, *_: object) -> None:
        ground, ink, border = KINDS[self.kind]
        if self.disabled:
            ground, ink, border = ("calm_paper" if ground else ""), "soft", ("line" if border else "")
        elif self.state == "down":
            ground = "held" if ground in ("accent", "danger") else "calm_paper"
            ink = ink if self.kind != "inverse" else "calm_ink"
        self._ground.rgba = getattr(theme, ground) if ground else (0, 0, 0, 0)
        self._border.rgba = getattr(theme, border) if border else (0, 0, 0, 0)
        self.words.tone = self.sign.tone = ink
