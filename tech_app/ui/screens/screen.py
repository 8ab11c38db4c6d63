"""What all screens have in common: they are drawn anew when what they say has changed, and only then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kivy.uix.widget import Widget

from tech_app.core.jobs import State
from tech_app.ui.widgets import Chip, Field, Page, PushButton, Text, TopBar
from tech_app.ui.words import _

if TYPE_CHECKING:
    from tech_app.ui.app import DoorstepApp

NOT_DRAWN = object()  # None is a view: that of a visit which is gone
CHIPS = {
    State.en_route: ("accent", "car"),
    State.arrived: ("accent", "place"),
    State.in_progress: ("accent", "work"),
    State.completed: ("good", "done"),
    State.cancelled: ("bad", "cancel"),
    State.no_access: ("warn", "no_door"),
}


class Screen(Page):
    """`view` says what is the case, a value that can be compared; `draw` puts it on the screen."""

    def __init__(self, app: DoorstepApp) -> None:
        super().__init__()
        self.app = app
        self._said: Any = NOT_DRAWN
        self._bar: TopBar | None = None
        self._fields: dict[str, Field] = {}
        self._typed: dict[str, str] = {}

    def view(self) -> Any:
        """What the screen says now."""
        raise NotImplementedError

    def draw(self, view: Any) -> None:
        """Say it."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Look again, and draw when something changed."""
        view = self.view()
        if view != self._said:
            self._said = view
            self.draw(view)

    def show_gone(self) -> None:
        """The visit that the screen is about went to somebody else, or was called off."""
        gone = Text(_("This visit is not yours any more."), role="heading", tone="soft")
        self.show([gone], [PushButton(_("Back"), kind="primary", on_tap=self.app.back)])

    def forget(self) -> None:
        """Draw anew at the next look, in whatever language and colours there are then."""
        self._said = NOT_DRAWN
        self._bar = None
        self._typed = {name: field.text for name, field in self._fields.items()}
        self._fields = {}

    def step_back(self) -> bool:
        """Back was touched: whether that was for the screen itself, which stays."""
        return False

    def close(self) -> None:
        """The screen is left for good."""

    def field(self, name: str, label: str, **kwargs: Any) -> Field:
        """Where one types: the same one, with the keyboard at it, when the screen is drawn anew meanwhile."""
        if name not in self._fields:
            self._fields[name] = Field(label, text=self._typed.get(name, ""), **kwargs)
        return self._fields[name]

    def bar(self, title: str, *, back: bool = True, actions: Callable[[], Sequence[Widget]] = tuple) -> None:
        """Say where one is."""
        if self._bar is not None:
            self._bar.title.text = title
            return
        for child in [child for child in self.children if isinstance(child, TopBar)]:
            self.remove_widget(child)
        self._bar = TopBar(title, on_back=self.app.back if back else None, actions=actions())
        self.add_widget(self._bar, index=len(self.children))


def state_chip(state: State, word: str) -> Chip:
    """Where a job stands, in words and in a colour."""
    kind, icon = CHIPS.get(state, ("calm", "open"))
    return Chip(word, kind=kind, icon=icon)


def pending_chip() -> Chip:
    """The service has yet to hear of it."""
    return Chip(_("Waiting to be sent"), kind="calm", icon="upload")


def changed_chip() -> Chip:
    """Others changed it."""
    return Chip(_("Changed"), kind="warn", icon="info")
