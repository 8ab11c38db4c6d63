"""What the readers of one job are told: made once for all who hold the same link and read the same language."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tracking_server.domain.page_state import Showing
from tracking_server.push import render, wire
from tracking_server.push.access import Visitor
from tracking_server.store.views import JobView, LinkRow

# A page changes with the clock too, and an age is counted from the moment of telling.
SAME_MOMENT_S = 0.1


@dataclass(frozen=True, slots=True)
class Told:
    """A page at one moment. `status` is its words, `position` where the technician is, both as updates; no position
    while it may not be seen. `position_s` is when the technician was there."""

    showing: Showing
    said: str
    status: bytes
    position: bytes | None
    position_s: float


@dataclass(eq=False)
class Telling:
    """The telling of one job."""

    _view: JobView | None = None
    _at_s: float = 0.0
    _told: dict[tuple[LinkRow, str, str], Told] = field(default_factory=dict)
    _links: dict[str, tuple[int, LinkRow | None]] = field(default_factory=dict)

    def told(self, view: JobView, visitor: Visitor, now_s: float) -> Told:
        """What a visitor is told of this view now. What they may see is asked of their link as it is."""
        if view is not self._view or not 0.0 <= now_s - self._at_s <= SAME_MOMENT_S:
            self._view, self._at_s, self._told = view, now_s, {}
        key = visitor.link, visitor.language, visitor.base
        told = self._told.get(key)
        if told is None:
            told = self._told[key] = _told(view, visitor, now_s)
        return told

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


def _told(view: JobView, visitor: Visitor, now_s: float) -> Told:
    page = render.page_of(view, visitor.link, now_s)
    update_id = f"{view.job.version}.{view.technician_version}"
    said = "" if page.showing is Showing.expired else render.update(view, page, visitor, now_s)
    shown = view.position if page.position else None
    return Told(
        page.showing,
        said,
        wire.status(said, update_id),
        None if shown is None else wire.position(shown, now_s, update_id),
        0.0 if shown is None else shown.time_s,
    )
