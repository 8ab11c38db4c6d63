"""Servers of their own for what kills servers: nobody else's work is lost."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracking_server import embedded
from tracking_server.embedded import Installation


@pytest.fixture(scope="session")
def servers() -> Iterator[Installation]:
    folder = Path(tempfile.mkdtemp(prefix="doorstep-faults-"))
    folder.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOORSTEP_EMBEDDED_FOLDER", str(folder))
        with embedded.running() as installation:
            yield installation
        embedded.stop(installation)
    shutil.rmtree(folder)
