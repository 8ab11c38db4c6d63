"""What a technician chose for their phone: language, light or dark, and the app that leads them."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from tech_app.core.navigation import Navigator


class Look(StrEnum):
    """Light or dark."""

    system = "system"
    light = "light"
    dark = "dark"


@dataclass(frozen=True, slots=True)
class Preferences:
    """`language` None is the phone's own; `navigator` None is asked for when it is first needed."""

    language: str | None = None
    look: Look = Look.system
    navigator: Navigator | None = None


def load_preferences(path: Path) -> Preferences:
    """What was chosen; a file that is not there or cannot be read is no choice."""
    try:
        said = json.loads(path.read_text())
        navigator = said["navigator"]
        return Preferences(said["language"], Look(said["look"]), None if navigator is None else Navigator(navigator))
    except (OSError, ValueError, TypeError, KeyError):
        return Preferences()


def save_preferences(path: Path, preferences: Preferences) -> None:
    """Keep them, whole or as they were before. A full phone keeps the old ones: nobody's work depends on them."""
    new = path.with_suffix(".new")
    try:
        new.write_text(json.dumps(asdict(preferences)))
        os.replace(new, path)
    except OSError:
        new.unlink(missing_ok=True)
