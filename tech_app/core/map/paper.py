"""What a map is drawn on: pixels, as far as they follow from what is seen. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tech_app.core.map.mercator import View, to_world
from tech_app.core.map.picture import WORLD, anchored
from tech_app.core.map.style import Look


@dataclass(frozen=True, slots=True)
class Paper:
    """What is seen, the place of the world's square that steps are counted from, pixels of a dp, and the colours."""

    view: View
    anchor: tuple[float, float]
    dp: float
    look: Look

    @property
    def px_per_step(self) -> float:
        return self.view.scale / WORLD

    def at(self, lat: float, lon: float) -> tuple[float, float]:
        """A place in steps from the anchor."""
        return anchored(*to_world(lat, lon), self.anchor)

    def on_screen(self, x: float, y: float) -> tuple[float, float]:
        """Steps from the anchor as pixels from the view's lower left corner."""
        left, up = self.view.on_screen(*self.anchor)
        return left + x * self.px_per_step, up + y * self.px_per_step
