"""What to look at when something does not work, and what can be set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kivy.uix.widget import Widget

from tech_app.core.preferences import Look
from tech_app.ui import words
from tech_app.ui.screens.privacy import PrivacyScreen
from tech_app.ui.screens.screen import Screen
from tech_app.ui.views import said
from tech_app.ui.views.diagnostics import DiagnosticsView, diagnostics_view
from tech_app.ui.views.diagnostics import Row as Fact
from tech_app.ui.views.job import navigators
from tech_app.ui.views.link import Mood
from tech_app.ui.views.pairing import unpair_question
from tech_app.ui.widgets import Card, Choice, Icon, PushButton, Row, Text, TouchCard
from tech_app.ui.words import _

if TYPE_CHECKING:
    from tech_app.ui.app import DoorstepApp

SIGNS = {Mood.good: "done", Mood.warn: "warning", Mood.bad: "error"}


@dataclass(frozen=True, slots=True)
class Settings:
    """What is chosen, in words. `needs_settings`: something is to be allowed in the system's own."""

    who: str
    needs_settings: bool
    language: str
    look: str
    navigator: str


class DiagnosticsScreen(Screen):
    """Facts above, choices below."""

    def __init__(self, app: DoorstepApp) -> None:
        super().__init__(app)

    def view(self) -> tuple[DiagnosticsView, Settings] | None:
        app = self.app
        if app.session is None:
            return None
        desk, chosen = app.desk, app.preferences
        tracked = desk.shift.on and not desk.shift.on_break
        device, copy, now_s = app.system.device(), app.atlas.region.progress, app.clock.since_boot()
        facts = diagnostics_view(desk.status(), desk.facts(), app.session, device, copy, now_s, tracked=tracked)
        needs = device.location_allowed is False or device.notices_allowed is False or device.battery_saved is True
        apps = dict(navigators(app.system.platform))
        language = words.OWN_NAMES[chosen.language] if chosen.language else _("As the phone")
        navigator = apps.get(chosen.navigator, "") if chosen.navigator else ""
        return facts, Settings(
            said.technician(app.session), needs, language, looks()[chosen.look], navigator or _("Ask when needed")
        )

    def draw(self, view: tuple[DiagnosticsView, Settings] | None) -> None:
        self.bar(_("Diagnostics"))
        if view is None:
            self.show([])
            return
        facts, settings = view
        content: list[Widget] = [Text(settings.who, role="heading")] if settings.who else []
        content.append(Card(*(_fact(row) for row in facts.rows)))
        if settings.needs_settings:
            open_ = self.app.system.permissions.open_settings
            content.append(PushButton(_("Open the phone's settings"), icon="settings", on_tap=open_))
        content += [
            Text(_("Settings"), role="heading"),
            self._setting(_("Language"), settings.language, self._choose_language),
            self._setting(_("Light or dark"), settings.look, self._choose_look),
            self._setting(_("Navigation app"), settings.navigator, self._choose_navigator),
            PushButton(_("Your privacy"), icon="eye", on_tap=lambda: self.app.open(PrivacyScreen(self.app))),
            PushButton(_("Give this phone back"), icon="delete", kind="danger_quiet", on_tap=self._unpair),
        ]
        self.show(content)

    def _setting(self, label: str, value: str, on_tap: Any) -> Widget:
        lines = Card(Text(label, role="small", tone="soft"), Text(value, role="strong"), padding=(0, 0), border="card")
        return TouchCard(Row(lines, Icon("next", tone="soft")), on_tap=on_tap)

    def _choose_language(self) -> None:
        choices = [Choice(None, _("As the phone")), *(Choice(code, words.OWN_NAMES[code]) for code in words.LANGUAGES)]
        self.app.ask(_("Language"), choices, lambda language: self.app.choose(language=language))

    def _choose_look(self) -> None:
        choices = [Choice(look, name) for look, name in looks().items()]
        self.app.ask(_("Light or dark"), choices, lambda look: self.app.choose(look=look))

    def _choose_navigator(self) -> None:
        choices = [Choice(None, _("Ask when needed"))]
        choices += [Choice(which, name) for which, name in navigators(self.app.system.platform)]
        self.app.ask(_("Navigation app"), choices, lambda navigator: self.app.choose(navigator=navigator))

    def _unpair(self) -> None:
        app = self.app
        if app.desk.shift.on:
            app.say(_("End your shift first."))
            return
        choices = [Choice(True, _("Give this phone back"), kind="danger")]
        app.ask(_("Give this phone back?"), choices, lambda _yes: app.unpair(), text=unpair_question(app.desk.facts()))


def looks() -> dict[Look, str]:
    """Light, dark, or as the phone is set."""
    return {Look.system: _("As the phone"), Look.light: _("Light"), Look.dark: _("Dark")}


def _fact(row: Fact) -> Widget:
    tone = "ink" if row.mood is Mood.calm else f"{row.mood.value}_ink"
    value = Text(row.value, role="strong", tone=tone)
    line = Row(Icon(SIGNS[row.mood], tone=tone), value) if row.mood in SIGNS else value
    parts: list[Widget] = [Text(row.label, role="small", tone="soft"), line]
    if row.detail:
        parts.append(Text(row.detail, role="small", tone="soft"))
    return Card(*parts, padding=(0, 0), spacing=0, border="card")
