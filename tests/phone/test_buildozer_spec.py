"""How the app is built for Android, as far as it can be known without building it."""

from __future__ import annotations

import ast
import configparser
import sys
from pathlib import Path

import pytest

from tech_app.service import android

APP = Path(android.__file__).parents[1]
CONSTRAINTS = APP.parent / "constraints.txt"
# What is imported, by the name under which p4a installs it; pyzbar only reads codes where a desktop has it.
PACKAGES = {"PIL": "pillow", "jnius": "pyjnius", "arabic_reshaper": "arabic-reshaper", "bidi": "python-bidi"}
ON_A_DESKTOP_ONLY = {"pyzbar"}
# p4a builds these by its own recipes, in the versions that its tag names.
BY_RECIPE = {"python3", "hostpython3", "android", "pyjnius", "sqlite3", "openssl", "pillow", "filetype"}


@pytest.fixture(scope="module")
def spec() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(APP / "buildozer.spec")
    return parser["app"]


def listed(spec: configparser.SectionProxy, name: str) -> list[str]:
    return [word.strip() for word in spec[name].split(",")]


def test_the_tracker_is_a_location_service(spec: configparser.SectionProxy) -> None:
    """Its script is there, its name is the one that the app starts, and its type is the one that Android allows."""
    name, script, *options = spec["services"].split(":")
    assert name == android.SERVICE
    assert (APP / script).is_file()
    assert options == ["foreground", "sticky", "foregroundServiceType=location"]


def test_what_is_asked_for_is_what_is_used(spec: configparser.SectionProxy) -> None:
    """The permissions of a foreground service for places, none for the background, and none for the camera, without
    which the phone's own camera app may be asked."""
    permissions = set(listed(spec, "android.permissions"))
    assert {"ACCESS_FINE_LOCATION", "FOREGROUND_SERVICE_LOCATION", "POST_NOTIFICATIONS", "INTERNET"} <= permissions
    assert not {"ACCESS_BACKGROUND_LOCATION", "CAMERA"} & permissions


def test_the_levels_are_those_that_stores_take(spec: configparser.SectionProxy) -> None:
    """... and that photos without a permission need; p4a is a release that knows the service's type."""
    assert int(spec["android.api"]) >= 35
    assert int(spec["android.minapi"]) >= 29
    assert spec["android.ndk"] == "28c"
    assert spec["p4a.branch"] >= "v2026.05.09"
    assert spec["android.allow_backup"] == "False"


def test_every_import_is_packed(spec: configparser.SectionProxy) -> None:
    """Whatever the app imports beside the standard library is among the requirements."""
    required = {requirement.partition("==")[0] for requirement in listed(spec, "requirements")}
    imported = {name for path in sources() for name in imports(path.read_text())}
    foreign = imported - sys.stdlib_module_names - {"tech_app"} - ON_A_DESKTOP_ONLY
    assert {PACKAGES.get(name, name) for name in foreign} <= required


def test_versions_are_those_that_the_tests_run_with(spec: configparser.SectionProxy) -> None:
    """What is not built by a recipe of p4a has an exact version, the one of constraints.txt."""
    known = dict(line.split("==") for line in CONSTRAINTS.read_text().splitlines() if "==" in line)
    for requirement in listed(spec, "requirements"):
        name, _, version = requirement.partition("==")
        if name not in BY_RECIPE:
            assert version, f"{name} has no version"
            assert version == known[name]


def test_everything_the_app_reads_is_packed(spec: configparser.SectionProxy) -> None:
    """Kivy's language, fonts and catalogues are easily forgotten; what makes them stays out."""
    assert {"py", "kv", "ttf", "mo"} <= set(listed(spec, "source.include_exts"))
    assert "release" in listed(spec, "source.exclude_dirs")
    left_out = set(listed(spec, "source.exclude_dirs"))
    assert not {"core", "ui", "service", "fonts", "locale"} & left_out


def sources() -> list[Path]:
    return [path for path in APP.rglob("*.py") if not {"release", "node_modules"} & set(path.relative_to(APP).parts)]


def imports(source: str) -> set[str]:
    """The first parts of the names of all modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
            names |= {str(word.value).partition(".")[0] for word in node.args if isinstance(word, ast.Constant)}
    return names
