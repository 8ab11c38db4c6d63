"""What stands on the map and does not move with it: buttons, whom to thank, and what has to be said."""

from __future__ import annotations

from collections.abc import Callable

from kivy.graphics import Color, RoundedRectangle
from kivy.metrics import dp
from kivy.properties import NumericProperty, StringProperty
from kivy.uix.widget import Widget

from tech_app.core.map.mercator import Box
from tech_app.ui import words
from tech_app.ui.theme import GAP_DP, TARGET_DP, theme
from tech_app.ui.widgets.push_button import PushButton
from tech_app.ui.widgets.text import Text
from tech_app.ui.words import _

ROUND_DP = 6
OFFER_DP = 280
MARK_DP, PIN_DP, NOTICE_DP = 24, 52, 48  # room for a dot, a pin above its place, a line that is said
VEIL = 0.82  # how much of the map a text's ground hides


class Furniture(Widget):
    """Buttons stand where the thumb is, on the side where one does not begin to read: one above the other, or side by
    side on a low map."""

    def __init__(
        self,
        *,
        closer: Callable[[], object],
        farther: Callable[[], object],
        me: Callable[[], object],
        everything: Callable[[], object],
        fetch: Callable[[], object],
    ) -> None:
        super().__init__()
        signs = {"add": (closer, _("Closer")), "minus": (farther, _("Farther")),
                 "map": (everything, _("Show the whole way")), "gps": (me, _("Show where I am"))}  # fmt: skip
        self.buttons = [self._button(icon, act, name) for icon, (act, name) in signs.items()]
        self.thanks = Plate()
        self.notice = Plate("body")
        self.offer = PushButton("", icon="download", on_tap=fetch, size_hint=(None, None), height=dp(TARGET_DP))
        for widget in (*self.buttons, self.thanks, self.notice):
            self.add_widget(widget)
        for name in ("x", "y", "width", "height"):
            self.fbind(name, self._place)
        for plate in (self.thanks, self.notice):
            plate.fbind("height", self._place)
            plate.fbind("width", self._place)

    def thank(self, attribution: str) -> None:
        """Name whose map it is."""
        self.thanks.text = attribution

    def say(self, notice: str, offer: str = "") -> None:
        """Tell something about the map, and offer to fetch it; nothing with an empty text."""
        self.notice.text = notice
        if bool(offer) != (self.offer.parent is not None):
            (self.add_widget if offer else self.remove_widget)(self.offer)
        if offer != self.offer.text:
            self.offer.text = offer
            self._place()

    def boxes(self) -> list[Box]:
        """Where it hides the map, in pixels of the window."""
        seen = [*self.buttons, *(widget for widget in (self.thanks, self.notice, self.offer) if widget.text)]
        return [(widget.x, widget.y, widget.right, widget.top) for widget in seen]

    def room(self) -> Box:
        """Where a mark is seen whole, in pixels from the map's lower left corner."""
        step = dp(TARGET_DP + 2 * GAP_DP)
        side = dp(MARK_DP) if self._is_low() else step + dp(MARK_DP) / 2
        bottom = self.thanks.height + dp(MARK_DP) + (step if self._is_low() else 0)
        return side, bottom, self.width - side, self.height - dp(PIN_DP + NOTICE_DP)

    def _is_low(self) -> bool:
        """Whether the buttons stand side by side."""
        return (len(self.buttons) + 2) * dp(TARGET_DP + GAP_DP) > self.height

    def _button(self, icon: str, act: Callable[[], object], name: str) -> PushButton:
        button = PushButton(icon=icon, on_tap=act, size_hint=(None, None), size=(dp(TARGET_DP), dp(TARGET_DP)))
        button.name = name
        return button

    def _place(self, *_: object) -> None:
        """By x, y, width and height: what Kivy derives from them is still the old one while they change."""
        gap, mirrored = dp(GAP_DP), words.is_right_to_left()
        right, top = self.x + self.width, self.y + self.height
        self.notice.room = self.thanks.room = self.width - 2 * gap
        along, up = 0.0, self.y + gap + self.thanks.height
        self.thanks.pos = (right - self.thanks.width if mirrored else self.x, self.y)
        step = dp(TARGET_DP) + gap
        is_low = self._is_low()
        for button in reversed(self.buttons):
            button.pos = (self.x + gap + along if mirrored else right - gap - button.width - along, up)
            along, up = (along + step, up) if is_low else (along, up + step)
        self.notice.pos = (self.x + (self.width - self.notice.width) / 2, top - gap - self.notice.height)
        below = self.notice.height + gap if self.notice.text else 0
        self.offer.width = min(dp(OFFER_DP), self.width - 2 * gap)
        self.offer.pos = (self.x + (self.width - self.offer.width) / 2, top - gap - below - self.offer.height)


class Plate(Widget):
    """A text on a veil of its own, as wide as it needs within `room` (pixels)."""

    text = StringProperty("")
    room = NumericProperty(1.0)

    def __init__(self, role: str = "small") -> None:
        super().__init__(size_hint=(None, None), size=(0, 0))
        with self.canvas.before:
            self._veil = Color()
            self._shape = RoundedRectangle(radius=[dp(ROUND_DP)])
        self.words = Text("", role=role, align="center")
        self.add_widget(self.words)
        for name in ("text", "room"):
            self.fbind(name, self._say)
        for name in ("x", "y", "width", "height"):
            self.fbind(name, self._place)
        theme.paints(self)
        self.paint()

    def _say(self, *_: object) -> None:
        self.words.text = self.text
        if not self.text:
            self.size = (0, 0)
            return
        edge = dp(GAP_DP)
        self.words.width = min(self.room - 2 * edge, self.words.measure(self.text) + 1)
        self.size = (self.words.width + 2 * edge, self.words.height + edge / 2)

    def _place(self, *_: object) -> None:
        self._shape.pos, self._shape.size = self.pos, self.size
        self.words.pos = (self.x + (self.width - self.words.width) / 2, self.y + (self.height - self.words.height) / 2)

    def paint(self, *_: object) -> None:
        self._veil.rgba = (*theme.card[:3], VEIL)
