"""How far the phone's own bars reach into the window, which since Android 15 is the whole screen."""

from __future__ import annotations

from kivy.event import EventDispatcher
from kivy.properties import NumericProperty
from kivy.utils import platform


class Insets(EventDispatcher):
    """In pixels; nothing on a desktop."""

    top = NumericProperty(0)
    bottom = NumericProperty(0)

    def read(self) -> None:
        """Ask the phone, once its window is there and again when it was turned. Not tried on a phone."""
        if platform != "android":
            return
        from jnius import autoclass  # on the phone only

        decor = autoclass("org.kivy.android.PythonActivity").mActivity.getWindow().getDecorView()
        told = decor.getRootWindowInsets()
        if told is not None:
            self.top = told.getSystemWindowInsetTop()
            self.bottom = told.getSystemWindowInsetBottom()


insets = Insets()
