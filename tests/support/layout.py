"""What is wrong with what a window shows, read from its widgets: words that are cut, that leave their place, that lie
over each other, targets too small for a thumb."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from tests.support.window import Driver, box  # before any Kivy

# isort: split
from kivy.core.window import Window
from kivy.metrics import dp
from kivy.uix.scrollview import ScrollView
from kivy.uix.textinput import TextInput
from kivy.uix.widget import Widget

from tech_app.ui.theme import TARGET_DP
from tech_app.ui.widgets import PushButton, Snackbar, Text, TouchCard

SLACK_PX = 1.5
Box = tuple[float, float, float, float]


def faults(driver: Driver) -> list[str]:
    """Everything that is wrong, in words."""
    widgets = [widget for widget in driver.widgets() if not _within(widget, Snackbar)]
    texts = [widget for widget in widgets if isinstance(widget, Text) and widget.text]
    found = [fault for text in texts for fault in _of_text(text)]
    found += [f"{_name(one)} lies over {_name(other)}" for one, other in combinations(texts, 2) if _overlap(one, other)]
    return found + [fault for widget in widgets for fault in _of_target(widget)]


def _of_text(text: Text) -> Iterator[str]:
    drawn_width, drawn_height = text._rectangle.size
    if drawn_width > text.width + SLACK_PX or drawn_height > text.height + SLACK_PX:
        yield f"{_name(text)} is drawn larger than its place"
    if "\u2026" in "".join(text.lines) and "\u2026" not in text.text:
        yield f"{_name(text)} is cut"
    left, _, right, _ = box(text)
    if left < -SLACK_PX or right > Window.width + SLACK_PX:
        yield f"{_name(text)} leaves the window"
    for holder in _holders(text):
        low, bottom, high, top = box(holder)
        left, under, right, over = box(text)
        if left < low - SLACK_PX or right > high + SLACK_PX or under < bottom - SLACK_PX or over > top + SLACK_PX:
            yield f"{_name(text)} leaves its {type(holder).__name__}"


def _of_target(widget: Widget) -> Iterator[str]:
    if isinstance(widget, PushButton | TouchCard | TextInput):
        small = widget.height < dp(TARGET_DP) - SLACK_PX
        if small or widget.width < dp(TARGET_DP) - SLACK_PX:
            yield f"{type(widget).__name__} {getattr(widget, 'text', '')!r} is too small to touch"


def _holders(widget: Widget) -> Iterator[Widget]:
    """What it must not stick out of: everything around it up to what scrolls."""
    parent = widget.parent
    while parent is not None and parent is not Window and not isinstance(parent, ScrollView):
        yield parent
        parent = parent.parent if parent.parent is not parent else None


def _overlap(one: Text, other: Text) -> bool:
    """Of the ink's boxes; what is scrolled out of sight lies under nothing."""
    if _scroller(one) is not _scroller(other):
        return False
    a, b = _ink(one), _ink(other)
    return min(a[2], b[2]) - max(a[0], b[0]) > SLACK_PX and min(a[3], b[3]) - max(a[1], b[1]) > SLACK_PX


def _ink(text: Text) -> Box:
    x, y = text.to_window(*text._rectangle.pos)
    width, height = text._rectangle.size
    return x, y, x + width, y + height


def _scroller(widget: Widget) -> Widget | None:
    return next((parent for parent in _parents(widget) if isinstance(parent, ScrollView)), None)


def _within(widget: Widget, kind: type[Widget]) -> bool:
    return any(isinstance(parent, kind) for parent in (widget, *_parents(widget)))


def _parents(widget: Widget) -> Iterator[Widget]:
    parent = widget.parent
    while parent is not None and parent is not Window:
        yield parent
        parent = parent.parent if parent.parent is not parent else None


def _name(text: Text) -> str:
    return repr(text.text[:40])
