"""What a technician chose for their phone."""

from __future__ import annotations

from pathlib import Path

from tech_app.core.navigation import Navigator
from tech_app.core.preferences import Look, Preferences, load_preferences, save_preferences


def test_a_choice_is_kept(tmp_path: Path) -> None:
    """Language, look and navigator, after a restart; a broken file is no choice."""
    path = tmp_path / "preferences.json"
    assert load_preferences(path) == Preferences()
    chosen = Preferences("th", Look.dark, Navigator.waze)
    save_preferences(path, chosen)
    assert load_preferences(path) == chosen
    for broken in ("{", "[]", '{"language": null, "look": "pink", "navigator": null}'):
        path.write_text(broken)
        assert load_preferences(path) == Preferences()


def test_a_full_phone_keeps_the_old_choice(tmp_path: Path) -> None:
    """Where nothing can be written, nothing breaks."""
    save_preferences(tmp_path / "not there" / "preferences.json", Preferences("th"))
    assert load_preferences(tmp_path / "not there" / "preferences.json") == Preferences()
