"""The start script: what a command makes it fetch, and what it does without."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

START_SCRIPT = Path(__file__).parents[2] / "doorstep"


@pytest.fixture
def doorstep() -> ModuleType:
    """A module of its own for each test; importing it starts nothing."""
    loader = importlib.machinery.SourceFileLoader("doorstep_script", str(START_SCRIPT))
    spec = importlib.util.spec_from_loader("doorstep_script", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def names(doorstep: ModuleType, *arguments: str) -> set[str]:
    return {type(step).__name__ for step in doorstep.steps_for(doorstep.purpose_of(arguments))}


def test_to_serve_takes_neither_region_nor_road_engine(doorstep: ModuleType) -> None:
    """Nor do the other commands that a firm runs; the demo and the tests take both."""
    extras = {"DemoRegion", "RoadEngine"}
    for command in (("serve",), ("work",), ("jobs", "show"), ("basemap", "porto.osm.pbf")):
        assert not extras & names(doorstep, *command)
    for command in (("demo",), ("test", "--ring", "pure"), ("basemap", "--demo")):
        assert extras <= names(doorstep, *command)


def test_only_the_tests_ask_for_a_browser(
    doorstep: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the names of the distribution's packages, when no browser and no font is there."""
    monkeypatch.setattr(doorstep.shutil, "which", lambda _: None)
    monkeypatch.setattr(doorstep, "NOTO_FONTS", tmp_path / "none")
    browser = {"chromium-headless-shell", "fonts-noto-core"}
    assert browser <= set(doorstep.missing_packages("test"))
    for purpose in ("serve", "demo", "basemap --demo"):
        assert not browser & set(doorstep.missing_packages(purpose))


def test_only_the_phone_and_the_tests_take_what_draws_it(
    doorstep: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Kivy, its font and the libraries of its window; a GPS daemon and a reader of codes are the tests' alone."""
    monkeypatch.setattr(doorstep, "LIBRARY_ROOTS", (tmp_path,))
    monkeypatch.setattr(doorstep, "GPSD", tmp_path / "gpsd")
    monkeypatch.setattr(doorstep.shutil, "which", lambda _: None)
    steps, drawn, tested = {"PhonePackages", "PhoneFiles"}, {"libgl1", "libegl1"}, {"gpsd", "libzbar0"}
    for purpose in ("serve", "demo"):
        assert not steps & names(doorstep, purpose)
        assert not (drawn | tested) & set(doorstep.missing_packages(purpose))
    assert steps <= names(doorstep, "phone")
    assert drawn <= set(doorstep.missing_packages("phone"))
    assert not tested & set(doorstep.missing_packages("phone"))
    assert steps <= names(doorstep, "test")
    assert drawn | tested <= set(doorstep.missing_packages("test"))


def test_a_library_is_found_where_distributions_put_it(
    doorstep: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the folder itself, or in the one of the machine's kind."""
    monkeypatch.setattr(doorstep, "LIBRARY_ROOTS", (tmp_path,))
    assert not doorstep.has_library("libGL.so.1")
    kind = tmp_path / "aarch64-linux-gnu"
    kind.mkdir()
    (kind / "libGL.so.1").touch()
    assert doorstep.has_library("libGL.so.1")


def test_without_a_network_an_extra_is_done_without(
    doorstep: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It says so in one line, leaves no stamp, and is tried again next time."""
    monkeypatch.setattr(doorstep, "VENV", tmp_path)
    monkeypatch.setattr(doorstep, "PYTHON", Path("/bin/sh"))
    monkeypatch.setattr(doorstep, "LOG", tmp_path / "setup.log")
    refusing = [["/bin/sh", "-c", "echo 'Failed to resolve'; exit 1"]]
    run = doorstep.run
    monkeypatch.setattr(doorstep, "run", lambda name, _command, **options: run(name, *refusing, **options))
    region = doorstep.DemoRegion()
    region.do()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "going on without the demo's region: " in said
    assert "the network does not answer" in said
    assert region.due()
