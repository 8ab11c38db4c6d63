"""The map of a job: where it is, where the technician is, and the way between them."""

from __future__ import annotations

import math
from typing import Any

from kivy.animation import Animation
from kivy.clock import Clock
from kivy.graphics import Color, Rectangle
from kivy.input import MotionEvent
from kivy.metrics import dp
from kivy.properties import BooleanProperty, NumericProperty, ObjectProperty
from kivy.uix.stencilview import StencilView

from tech_app.core.map import marks
from tech_app.core.map.ground import NO_GROUND
from tech_app.core.map.mercator import TILE_DP, Box, Tile, View, to_world
from tech_app.core.map.names import write
from tech_app.core.map.paper import Paper
from tech_app.core.map.picture import WORLD, Picture, draw
from tech_app.core.map.shelf import Shelf
from tech_app.core.map.show import stand_ins
from tech_app.core.map.style import look_of
from tech_app.core.region import Progress, Standing
from tech_app.ui import words
from tech_app.ui.map.backing import Backing
from tech_app.ui.map.cut import cut
from tech_app.ui.map.furniture import Furniture
from tech_app.ui.map.lettering import Lettering
from tech_app.ui.map.raster import RasterSheet
from tech_app.ui.map.surface import Marks
from tech_app.ui.theme import theme
from tech_app.ui.words import _

FIRST_ZOOM = 14.5
MOST_BYTES = 32_000_000  # of tiles ready to be drawn; a street map's screen takes about 3
REANCHOR_STEPS = 2**15  # from the anchor: beyond that a graphics chip's numbers are too coarse
NAMES_AFTER_S = 0.12  # without a movement
GLIDE_S = 0.2
TAP_DP = 10.0  # a finger that moves less has tapped
TWICE_WITHIN_S, TWICE_WITHIN_DP = 0.35, 40.0


class MapView(StencilView):
    """A map that can be dragged, pinched and tapped twice, with buttons for one hand.

    `job` and the place of `fix` are shown also where there is no map. `now_s` is the phone's clock: it makes a fix old.
    """

    ground = ObjectProperty(NO_GROUND)
    """A `core.map.ground.Ground`: what the marks stand on."""
    job = ObjectProperty(None, allownone=True)
    """Latitude and longitude of the job, or None."""
    fix = ObjectProperty(None, allownone=True)
    """The phone's last `core.fix.Fix`, or None."""
    now_s = NumericProperty(0.0)
    route = ObjectProperty(None, allownone=True)
    """A `core.route.Route` to the job, or None: then a straight line."""
    copy = ObjectProperty(Progress())
    """A `core.region.Progress`: how it is with the map's copy on this phone."""
    following = BooleanProperty(False)
    """Whether the map moves with the position."""
    glide = NumericProperty(0.0)
    __events__ = ("on_fetch",)

    def __init__(self, **kwargs: Any) -> None:
        self.view = View(0.5, 0.5, FIRST_ZOOM, 1.0, 1.0, dp(TILE_DP))
        self.anchor = (self.view.x, self.view.y)
        self.shelf: Shelf[Picture] | None = None
        self._touches: dict[Any, tuple[float, float]] = {}
        self._is_drag = False
        self._last_tap: tuple[float, float, float] | None = None
        self._placed = False  # whether anything said yet where to look
        self._marked_for: object = None
        self._glide: tuple[View, float, float, float] | None = None
        self._want = Clock.create_trigger(self._show_tiles)
        self._write = Clock.create_trigger(self._write_names, NAMES_AFTER_S)
        super().__init__(**kwargs)
        self._nothing, self._back = Color(), Rectangle()
        self.sheet = RasterSheet(self._want)
        self.backing = Backing()
        self.marks = Marks()
        self.lettering = Lettering()
        for layer in (self._nothing, self._back, self.sheet, self.backing, self.marks, self.lettering):
            self.canvas.add(layer)
        self.furniture = Furniture(
            closer=lambda: self.zoom_by(1), farther=lambda: self.zoom_by(-1),
            me=self.centre_on_me, everything=self.show_all, fetch=lambda: self.dispatch("on_fetch"),
        )  # fmt: skip
        self.add_widget(self.furniture)
        for name in ("x", "y", "width", "height"):
            self.fbind(name, self._resize)
        self.bind(job=self._remark, fix=self._hear_fix, route=self._remark, now_s=self._remark, ground=self._reground,
                  copy=self._remark)  # fmt: skip
        theme.paints(self)
        self._reground()
        self._resize()

    def on_fetch(self) -> None:
        """The technician wants the map on this phone, however large it is."""

    def show_all(self) -> None:
        """Move so that the job, the position and the way are seen."""
        self.following = False
        places = [to_world(*place) for place in self._places()]
        if places:
            self._placed = True
            self._look(self.view.fitting(places, self.furniture.room()))

    def centre_on_me(self) -> None:
        """Move to the position and follow it until the map is dragged."""
        if self.fix is not None:
            self._placed = self.following = True
            x, y = to_world(self.fix.lat, self.fix.lon)
            self._look(View(x, y, max(self.view.zoom, FIRST_ZOOM), self.width, self.height, dp(TILE_DP)))

    def look_at(self, lat: float, lon: float, zoom: float) -> None:
        """Show a place from a zoom."""
        self._placed = True
        self._look(View(*to_world(lat, lon), zoom, self.width, self.height, dp(TILE_DP)))

    def zoom_by(self, zooms: float, at: tuple[float, float] | None = None) -> None:
        """Glide closer, or farther when negative, with what is at these pixels of the window staying there."""
        left, up = (at[0] - self.x, at[1] - self.y) if at else (self.width / 2, self.height / 2)
        self._placed = True
        Animation.cancel_all(self, "glide")
        self._glide = (self.view, zooms, left, up)
        self.glide = 0.0
        Animation(glide=1.0, duration=GLIDE_S, transition="out_quad").start(self)

    def on_glide(self, _map: object, share: float) -> None:
        if self._glide is not None:
            view, zooms, left, up = self._glide
            self._look(view.zoomed(zooms * share, left, up))
            if share >= 1.0:
                self._glide = None

    def close(self) -> None:
        """End the map's threads: it is not shown again."""
        self._want.cancel()
        self._write.cancel()
        self.sheet.close()
        if self.shelf is not None:
            self.shelf.close()
            self.shelf = None

    # ---- what is seen ----

    def _look(self, view: View) -> None:
        self.view = view
        far = max(abs(view.x - self.anchor[0]), abs(view.y - self.anchor[1])) * WORLD
        if far > REANCHOR_STEPS:
            self._reground()
        self._place()
        self._want()
        self._write()

    def _paper(self) -> Paper:
        return Paper(self.view, self.anchor, dp(1), look_of(theme.dark))

    def _place(self) -> None:
        """Everything where it belongs on the screen: for every movement, so it makes nothing new."""
        paper = self._paper()
        if self.shelf is not None:
            self.backing.move(paper, self.x, self.y)
        self.marks.stand(paper, self.x, self.y)
        self._mark(paper)
        self.lettering.move(paper, self.x, self.y)
        self.sheet.move(paper, self.x, self.y)
        self.furniture.say(self._notice(), offer=self._offer())
        self.canvas.ask_update()

    def _resize(self, *_: object) -> None:
        view = self.view
        self.view = View(view.x, view.y, view.zoom, max(1.0, self.width), max(1.0, self.height), dp(TILE_DP))
        self._back.pos, self._back.size = self.pos, self.size
        self.furniture.pos, self.furniture.size = self.pos, self.size
        self._show_first()
        self.paint()

    def _show_first(self) -> None:
        """Until somebody moves the map it shows all that there is to see."""
        if not self._placed and self.width > 1:
            self.show_all()
            self._placed = False

    def paint(self) -> None:
        self._nothing.rgb = look_of(theme.dark).nothing
        self._marked_for = None
        self._look(self.view)

    def _reground(self, *_: object) -> None:
        """Begin anew: on other ground, or around another anchor."""
        if self.shelf is not None:
            self.shelf.close()
        self.backing.hide()
        self.lettering.write((), look_of(theme.dark))
        self.anchor = anchor = (self.view.x, self.view.y)
        self._marked_for = None
        self.sheet.use(self.ground.raster)
        archive = self.ground.archive
        self.furniture.thank(self.ground.attribution)
        if archive is None:
            self.shelf = None
            self._place()
            return

        def make(tile: Tile) -> Picture | None:
            data = archive.tile(tile)
            return None if data is None else draw(tile, data, anchor, cut)

        self.shelf = Shelf(make, lambda picture: picture.size_bytes, MOST_BYTES, self._want)
        self._place()
        self._want()

    def _show_tiles(self, *_: object) -> None:
        self.sheet.show(self._paper(), self.x, self.y, dark=theme.dark)
        if self.shelf is None:
            return
        header = self.ground.archive.header
        wanted = self.view.tiles(header.least_zoom, header.most_zoom)
        here = self.shelf.want(wanted)
        self.backing.show(stand_ins(wanted, here, self.shelf.find))
        self._place()
        self._write()

    def _write_names(self, *_: object) -> None:
        """The map stands still: everything as sharp as it gets."""
        if self.shelf is None:
            return
        self.backing.sharpen(self._paper())
        header = self.ground.archive.header
        tiles = self.view.tiles(header.least_zoom, header.most_zoom)
        names = [name for tile in tiles if (picture := self.shelf.find(tile)) is not None for name in picture.names]
        paper = self._paper()
        kept = {one.text for one in self.lettering.written}
        written = write(names, paper, words.language(), self.lettering.measure, self._taken(paper), kept)
        self.lettering.write(written, paper.look)
        self._place()

    # ---- marks ----

    def _places(self) -> list[tuple[float, float]]:
        fix = [(self.fix.lat, self.fix.lon)] if self.fix is not None else []
        way = list(self.route.way) if self.route is not None else []
        return [*([self.job] if self.job is not None else []), *fix, *way]

    def _hear_fix(self, *_: object) -> None:
        if self.fix is not None and self.following:
            x, y = to_world(self.fix.lat, self.fix.lon)
            self._look(View(x, y, self.view.zoom, self.view.width, self.view.height, self.view.tile_px))
        self._remark()

    def _remark(self, *_: object) -> None:
        self._show_first()
        self._place()

    def _mark(self, paper: Paper) -> None:
        old = self.fix is not None and marks.is_old(self.fix, self.now_s)
        key = (self.job, self.fix, self.route, old, paper.view.zoom, paper.anchor, theme.dark)
        if key == self._marked_for:
            return
        self._marked_for = key
        made = []
        if self.route is not None:
            made += marks.way_marks(paper, self.route.way)
        elif self.job is not None and self.fix is not None:
            made += marks.beeline_marks(paper, (self.fix.lat, self.fix.lon), self.job)
        if self.fix is not None:
            made += marks.position_marks(paper, self.fix, self.now_s)
        if self.job is not None:
            made += marks.job_marks(paper, self.job)
        self.marks.mark(made)

    def _taken(self, paper: Paper) -> list[Box]:
        """Where no name may stand, in pixels of the view."""
        boxes = [(box[0] - self.x, box[1] - self.y, box[2] - self.x, box[3] - self.y) for box in self.furniture.boxes()]
        if self.job is not None:
            x, y = paper.on_screen(*paper.at(*self.job))
            boxes.append((x - dp(18), y, x + dp(18), y + dp(48)))
        if self.fix is not None:
            x, y = paper.on_screen(*paper.at(self.fix.lat, self.fix.lon))
            boxes.append((x - dp(14), y - dp(14), x + dp(14), y + dp(14)))
        return boxes

    def _notice(self) -> str:
        if self.fix is not None and marks.is_old(self.fix, self.now_s):
            age_s = self.now_s - self.fix.time_s
            return _("Position %(age)s old") % {"age": words.duration(age_s)} if age_s > 0 else _("Old position")
        if self.ground.covers(self.view):
            return ""
        match self.copy.standing:
            case Standing.fetching:
                done, size = words.size(self.copy.done_bytes), words.size(self.copy.size_bytes)
                return _("Fetching the map: %(done)s of %(size)s") % {"done": done, "size": size}
            case Standing.asks:
                return ""
            case Standing.trouble | Standing.unknown if self.ground is NO_GROUND:
                return _("No map yet: it is fetched when there is a network")
        return _("No map of this place on this phone")

    def _offer(self) -> str:
        if self.copy.standing is not Standing.asks:
            return ""
        return _("Fetch the map (%(size)s)") % {"size": words.size(self.copy.size_bytes)}

    # ---- fingers ----

    def on_touch_down(self, touch: MotionEvent) -> bool:
        if not self.collide_point(*touch.pos):
            return False
        if super().on_touch_down(touch):
            return True
        if getattr(touch, "is_mouse_scrolling", False):
            self.zoom_by(0.5 if touch.button == "scrolldown" else -0.5, touch.pos)
            return True
        touch.grab(self)
        Animation.cancel_all(self, "glide")
        self._touches[touch.uid] = touch.pos
        self._is_drag = len(self._touches) > 1
        return True

    def on_touch_move(self, touch: MotionEvent) -> bool:
        if touch.grab_current is not self or touch.uid not in self._touches:
            return bool(super().on_touch_move(touch))
        if not self._is_drag and math.dist(touch.pos, touch.opos) < dp(TAP_DP):
            return True
        before = dict(self._touches)
        self._touches[touch.uid] = touch.pos
        self._is_drag, self._placed, self.following = True, True, False
        self._look(_pulled(self.view, list(before.values()), list(self._touches.values()), self.pos))
        return True

    def on_touch_up(self, touch: MotionEvent) -> bool:
        if touch.grab_current is not self or touch.uid not in self._touches:
            return bool(super().on_touch_up(touch))
        touch.ungrab(self)
        del self._touches[touch.uid]
        if not self._is_drag:
            self._tapped(touch)
        return True

    def _tapped(self, touch: MotionEvent) -> None:
        now_s = Clock.get_time()
        last = self._last_tap
        near = last is not None and math.dist(last[1:], touch.pos) < dp(TWICE_WITHIN_DP)
        if last is not None and near and now_s - last[0] < TWICE_WITHIN_S:
            self._last_tap = None
            self.following = False
            self.zoom_by(1, touch.pos)
        else:
            self._last_tap = (now_s, *touch.pos)


def _pulled(
    view: View, before: list[tuple[float, float]], after: list[tuple[float, float]], corner: tuple[float, float]
) -> View:
    """The view when what was under these fingers is under them still: moved by one, also turned larger by two."""
    from_x, from_y = (sum(place[axis] for place in before) / len(before) for axis in (0, 1))
    to_x, to_y = (sum(place[axis] for place in after) / len(after) for axis in (0, 1))
    moved = view.moved(to_x - from_x, to_y - from_y)
    if len(before) < 2:
        return moved
    apart, now_apart = math.dist(before[0], before[1]), math.dist(after[0], after[1])
    if min(apart, now_apart) < 1:
        return moved
    return moved.zoomed(math.log2(now_apart / apart), to_x - corner[0], to_y - corner[1])
