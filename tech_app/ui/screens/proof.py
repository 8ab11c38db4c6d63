"""Proof of a visit: photos, the customer's signature, a note. Everything can be retaken until the visit is ended."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kivy.uix.widget import Widget

from tech_app.core.drafts import Draft
from tech_app.core.jobs import ENDED, Proof
from tech_app.core.outbox import NoRoom
from tech_app.core.proof import NoPicture, small_photo
from tech_app.core.tap import TapKind
from tech_app.ui.camera import NoCamera
from tech_app.ui.screens.notes import NotesScreen
from tech_app.ui.screens.screen import Screen
from tech_app.ui.screens.signature import SignatureScreen
from tech_app.ui.views import ask
from tech_app.ui.views.job import JobView, ProofLine, job_view
from tech_app.ui.widgets import Banner, Chip, Photo, PushButton, Row, Text
from tech_app.ui.words import _, ngettext

if TYPE_CHECKING:
    from tech_app.ui.app import DoorstepApp


@dataclass(frozen=True, slots=True)
class ProofView:
    """The job, what there is, and whether a photo is being made small."""

    job: JobView | None
    drafts: tuple[Draft, ...]
    busy: bool


class ProofScreen(Screen):
    """What is asked for, what there is."""

    def __init__(self, app: DoorstepApp, job_id: str) -> None:
        super().__init__(app)
        self.job_id = job_id
        self._busy = False

    def view(self) -> ProofView:
        app = self.app
        job = app.job(self.job_id)
        pictures = app.drafts.pictures(self.job_id)
        said = None if job is None else job_view(job, pictures, app.today(), app.now(), pending=False)
        return ProofView(said, app.drafts.of(self.job_id), self._busy)

    def draw(self, view: ProofView) -> None:
        self.bar(_("Proof of the visit"))
        if view.job is None:
            self.show_gone()
            return
        content: list[Widget] = []
        if view.job.hint:
            content.append(Banner(view.job.hint, kind="warn"))
        for line in view.job.proof:
            content += self._section(line, view)
        self.show(content, self._main(view.job))

    def _section(self, line: ProofLine, view: ProofView) -> list[Widget]:
        kind = "good" if line.there else "warn" if line.missing else "calm"
        parts: list[Widget] = [Row(Text(line.label, role="heading"), Chip(line.there or line.rule, kind=kind))]
        drafts = [draft for draft in view.drafts if draft.kind is line.kind]
        parts += [self._picture(draft) for draft in drafts if not draft.queued]
        queued = sum(draft.queued for draft in drafts)
        if queued:
            words = ngettext(
                "%(count)s was handed in with the visit.", "%(count)s were handed in with the visit.", queued
            )
            parts.append(Text(words % {"count": queued}, tone="soft"))
        if view.job is not None and view.job.can_prove:
            parts.append(self._button(line, bool(drafts), view.busy))
        return parts

    def _picture(self, draft: Draft) -> Widget:
        data = self.app.drafts.path(draft).read_bytes()
        if draft.kind is Proof.signature:
            return Photo(data)  # it is signed again, not thrown away
        return Photo(data, on_remove=lambda: self._remove(draft))

    def _button(self, line: ProofLine, again: bool, busy: bool) -> Widget:
        match line.kind:
            case Proof.photo:
                label = _("One moment") if busy else _("Take another photo") if again else _("Take a photo")
                return PushButton(label, icon="camera", disabled=busy, on_tap=self._take)
            case Proof.signature:
                label = _("Sign again") if again else _("Have the customer sign")
                return PushButton(
                    label, icon="pen", on_tap=lambda: self.app.open(SignatureScreen(self.app, self.job_id))
                )
        return PushButton(
            _("Write a note"), icon="edit", on_tap=lambda: self.app.open(NotesScreen(self.app, self.job_id))
        )

    def _main(self, job: JobView) -> list[Widget]:
        action = job.action
        if action is None or action.kind is not TapKind.done or job.hint:
            return []
        return [PushButton(action.label, icon=action.icon, kind="primary", on_tap=self._done)]

    def _done(self) -> None:
        self.app.flow.do(TapKind.done, self.job_id)
        if self.app.screen is self and (view := self.view().job) is not None and not view.can_prove:
            self.app.back()

    def _remove(self, draft: Draft) -> None:
        self.app.drafts.remove(draft)
        self.app.refresh()

    def _take(self) -> None:
        if not self._busy:
            self._busy = True
            self.app.refresh()
            self.app.soon(self._take_one())

    def _send_late(self) -> None:
        """The visit was ended while the photo was taken: no later step sends it."""
        job = self.app.job(self.job_id)
        if job is not None and job.state in ENDED:
            self.app.drafts.hand_over(self.job_id)
            self.app.desk.poke()

    async def _take_one(self) -> None:
        """The picture is made small beside the screen, which goes on."""
        app = self.app
        try:
            if app.system.camera is None:
                raise NoCamera
            taken = await app.system.camera.take()
            if taken is not None:
                small = await asyncio.to_thread(small_photo, taken)
                app.drafts.add(self.job_id, Proof.photo, small, app.now())
                self._send_late()
        except NoCamera:
            app.say(_("There is no camera, or Doorstep may not use it: allow it in this phone's settings."))
        except NoPicture:
            app.say(_("This is no picture that can be read: take another."))
        except NoRoom as error:
            app.say(ask.refusal(error))
        finally:
            self._busy = False
            app.refresh()
