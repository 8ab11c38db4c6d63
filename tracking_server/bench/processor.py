"""How much processor time processes have taken (Linux)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def processor_s(pids: Iterable[int]) -> float:
    """Seconds of processor time of these processes and of their children that have ended, up to now.

    Take the difference of two; a process that began in between counts from its beginning.
    """
    return sum(map(_of, pids))


def _of(pid: int) -> float:
    with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended: its parent has its time
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS_PER_S  # utime, stime, cutime, cstime
    return 0.0
