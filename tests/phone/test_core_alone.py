"""The core needs no screen: it runs in the tracker's process, which has none."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import tech_app.core

IMPORT_ALL = """
import sys
from importlib import import_module

for name in sys.argv[1:]:
    import_module(name)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_no_kivy_below_the_core() -> None:
    """Importing every module of the core brings in no Kivy and nothing of the service, and no deprecation warning."""
    modules = [module.name for module in pkgutil.walk_packages(tech_app.core.__path__, "tech_app.core.")]
    command = [sys.executable, "-W", "error::DeprecationWarning", "-c", IMPORT_ALL, *modules]
    clone = Path(tech_app.__file__).parents[1]
    imported = subprocess.run(command, cwd=clone, check=True, capture_output=True, text=True, timeout=60)
    assert "tech_app" in imported.stdout.split()
    assert not {"kivy", "jnius", "plyer", "tracking_server", "numpy", "msgspec"} & set(imported.stdout.split())
