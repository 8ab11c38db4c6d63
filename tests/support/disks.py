"""Small disks of our own, in memory, that fill up."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Disk:
    """Mounted at its folder."""

    folder: Path

    def leave(self, megabytes: int) -> None:
        """Make it so small, or so big, that this much is free, or a little more."""
        used = -(-shutil.disk_usage(self.folder).used // 2**20)
        subprocess.run(["mount", "-o", f"remount,size={used + megabytes}m", str(self.folder)], check=True)  # noqa: S607


@contextmanager
def small_disk(megabytes: int) -> Iterator[Disk]:
    """Until the block ends. The test is skipped where nothing may be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="doorstep-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "doorstep", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        folder.rmdir()
        pytest.skip(f"a disk cannot be mounted here, which takes root: {done.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607
        folder.rmdir()
