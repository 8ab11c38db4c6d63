"""What the readers of one job are told: made once for all who hold the same link and read the same language."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

from tracking_server.domain.page_state import PageState, Showing
from tracking_server.push import render, wire
from tracking_server.push.access import Visitor
from tracking_server.store.views import JobView, LinkRow

# A page changes with the clock too, and an age is counted from the moment of telling.
SAME_MOMENT_S = 0.1


@dataclass(eq=False, slots=True)
class Said:
    """The words of a page, put together when they are first sent. The same words are mostly the same object."""

    words: render.Words
    base: str
    reached: str
    _update: bytes | None = None

    def update(self) -> bytes:
        """As an update without an id."""
        if self._update is None:
            self._update = wire.status(render.said(self.words, self.base, self.reached))
        return self._update

    def is_like(self, other: Said | None) -> bool:
        """Whether it reads the same: times of a window may differ by less than anybody is told."""
        return other is not None and self.update() == other.update()


@dataclass(frozen=True, slots=True)
class Told:
    """A page at one moment: its words, and where the technician is, as an update; none while it may not be seen.
    `position_s` is when the technician was there. What has expired has no words."""

    showing: Showing
    versions: tuple[int, int]
    said: Said | None = None
    position: bytes | None = None
    position_s: float = 0.0

    def status(self) -> bytes:
        """The words as an update."""
        return wire.numbered(*self.versions, self.said.update() if self.said is not None else b"")


@dataclass(eq=False)
class Telling:
    """The telling of one job."""

    _view: JobView | None = None
    _at_s: float = 0.0
    _told: dict[tuple[LinkRow, str, str], Told] = field(default_factory=dict)
    _said: dict[tuple[UUID, str, str], Said] = field(default_factory=dict)
    _links: dict[str, tuple[int, LinkRow | None]] = field(default_factory=dict)

    def told(self, view: JobView, visitor: Visitor, now_s: float) -> Told:
        """What a visitor is told of this view now. What they may see is asked of their link as it is."""
        if view is not self._view or not 0.0 <= now_s - self._at_s <= SAME_MOMENT_S:
            self._view, self._at_s, self._told = view, now_s, {}
        key = visitor.link, visitor.language, visitor.base
        told = self._told.get(key)
        if told is None:
            told = self._told[key] = self._tell(view, visitor, now_s)
        return told

    def _tell(self, view: JobView, visitor: Visitor, now_s: float) -> Told:
        page = render.page_of(view, visitor.link, now_s)
        versions = view.job.version, view.technician_version
        if page.showing is Showing.expired:
            return Told(page.showing, versions)
        said = self._say(view, page, visitor, now_s)
        if not page.position or view.position is None:
            return Told(page.showing, versions, said)
        position = wire.numbered(*versions, wire.position(view.position, now_s))
        return Told(page.showing, versions, said, position, view.position.time_s)

    def _say(self, view: JobView, page: PageState, visitor: Visitor, now_s: float) -> Said:
        """What was said last, unless it is something else now."""
        key = visitor.link.contact_id, visitor.language, visitor.base
        words = render.words_of(view, page, visitor.language, now_s)
        reached = render.reached(view, page, visitor.link.contact_id)
        said = self._said.get(key)
        if said is None or said.words != words or said.reached != reached:
            said = self._said[key] = Said(words, visitor.base, reached)
        return said

    async def link(
        self, token: str, version: int, open_link: Callable[[str], Awaitable[LinkRow | None]]
    ) -> LinkRow | None:
        """The link of a token as it was at this version of its job or later; read once for all who hold it."""
        looked = self._links.get(token)
        if looked is None or looked[0] < version:
            looked = version, await open_link(token)
            self._links = {known: found for known, found in self._links.items() if found[0] >= version}
            self._links[token] = looked
        return looked[1]
