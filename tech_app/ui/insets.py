"""How far the phone's own bars reach into the window, which since Android 15 is the whole screen."""

from __future__ import annotations

from typing import Protocol
from weakref import WeakSet

from kivy.clock import Clock
from kivy.utils import platform

AGAIN_S = 0.3


class Clear(Protocol):
    """What lies at the edge of the window."""

    def keep_clear(self) -> None:
        """Keep clear of the bars as they are now."""
        ...


class Insets:
    """In pixels; nothing on a desktop."""

    def __init__(self) -> None:
        self.top = 0.0
        self.bottom = 0.0
        self._followers: WeakSet[Clear] = WeakSet()

    def follow(self, widget: Clear) -> None:
        """Tell it when the bars change, as long as it is there."""
        self._followers.add(widget)

    def use(self, top: float, bottom: float) -> None:
        """The bars are so high now."""
        if (top, bottom) == (self.top, self.bottom):
            return
        self.top, self.bottom = top, bottom
        for widget in list(self._followers):
            widget.keep_clear()

    def read(self, *_: object) -> None:
        """Ask the phone, once its window is there; again soon when it does not know yet. Not tried on a phone."""
        if platform != "android":
            return
        from jnius import autoclass  # on the phone only

        decor = autoclass("org.kivy.android.PythonActivity").mActivity.getWindow().getDecorView()
        told = decor.getRootWindowInsets()
        if told is None:
            Clock.schedule_once(self.read, AGAIN_S)
        else:
            self.use(told.getSystemWindowInsetTop(), told.getSystemWindowInsetBottom())


insets = Insets()
