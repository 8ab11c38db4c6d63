"""The map of a job: where it is, where the technician is, and the way between them."""

from __future__ import annotations

from kivy.properties import BooleanProperty, NumericProperty, ObjectProperty, StringProperty
from kivy.uix.widget import Widget


class MapView(Widget):
    """A map that can be dragged, pinched and tapped twice.

    `job` and the place of `fix` are shown also where there is no map. `now_s` is the phone's clock: it makes a fix old.
    """

    ground = ObjectProperty(None, allownone=True)
    """A `core.map.ground.Ground`: what is drawn under the marks. None: nothing yet."""
    job = ObjectProperty(None, allownone=True)
    """Latitude and longitude of the job, or None."""
    fix = ObjectProperty(None, allownone=True)
    """The phone's last `core.fix.Fix`, or None."""
    now_s = NumericProperty(0.0)
    route = ObjectProperty(None, allownone=True)
    """A `core.route.Route` to the job, or None: then a straight line."""
    dark = BooleanProperty(False)
    mirrored = BooleanProperty(False)
    language = StringProperty("en")

    def show_all(self) -> None:
        """Move so that the job, the position and the way are seen."""

    def centre_on_me(self) -> None:
        """Move to the position and follow it until the map is dragged."""
