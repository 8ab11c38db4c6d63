"""Several server processes on one port, under a master that serves nothing itself.

The master makes a socket for each of them (SO_REUSEPORT: the kernel spreads connections evenly) and keeps all of them:
who comes while a process is replaced waits in its socket until the next one takes it over. Processes are forked, so
that a new one answers within a second; the kernel ends them with the master, however that ends.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

import structlog

from tracking_server.installation import say

log = structlog.get_logger()
LOOK_EVERY_S = 1.0
HUNG_AFTER_S = 15.0  # a process says every second that it goes on; one that does not for so long is killed
LIVED_S = 5.0  # who ends sooner will perhaps always do: the next one waits, each time twice as long
WAIT_FIRST_S, WAIT_MOST_S = 0.1, 10.0
END_WITHIN_S = 8.0  # a process takes 3 s of grace and what closing its connections takes
STOPPING = (signal.SIGTERM, signal.SIGINT)
PR_SET_PDEATHSIG = 1

Beat = Callable[[], None]
Serve = Callable[[socket.socket, Beat], None]


@dataclass(eq=False, slots=True)
class _Place:
    """A socket and the process on it, which writes a byte into `beats` when it answers and every second from then."""

    listening: socket.socket
    pid: int | None = None
    beats: int = -1
    begun_s: float = 0.0
    heard_s: float = 0.0
    ready: bool = False
    short_lives: int = 0
    due_s: float = 0.0


def keep(serve: Serve, sockets: Sequence[socket.socket], greeting: str) -> None:
    """Keep a process that serves on each socket until told to stop; says the greeting when all of them answer.

    `serve` takes its socket, and what it is to call when it answers and every second from then on. The first starts
    alone: when it cannot, what it says of it is said once, and this ends with its status.
    """
    gc.collect()
    gc.freeze()  # what all of them share stays shared: a collection would write into each object
    _Master(serve, [_Place(one) for one in sockets], greeting).run()


class _Master:
    def __init__(self, serve: Serve, places: list[_Place], greeting: str) -> None:
        self._serve = serve
        self._places = places
        self._greeting = greeting
        self._greeted = False
        self._stopping = False
        self._woken, self._wake = os.pipe()

    def run(self) -> None:
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wake)
        for one in STOPPING:
            signal.signal(one, self._told_to_stop)
        while not self._stopping:
            for place in self._places if self._places[0].ready or self._greeted else self._places[:1]:
                if place.pid is None and time.monotonic() >= place.due_s:
                    self._begin(place)
            self._listen(LOOK_EVERY_S)
            self._kill_hung()
        self._end()

    def _told_to_stop(self, *_: object) -> None:
        self._stopping = True

    def _begin(self, place: _Place) -> None:
        beats, beat = os.pipe()
        os.set_blocking(beats, False)
        os.set_blocking(beat, False)
        master = os.getpid()
        sys.stdout.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # until the process has its own ways to end
        pid = os.fork()
        if pid == 0:
            self._serve_and_exit(place, master, beat)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        os.close(beat)
        place.pid, place.beats, place.ready = pid, beats, False
        place.begun_s = place.heard_s = time.monotonic()

    def _serve_and_exit(self, place: _Place, master: int, beat: int) -> NoReturn:
        """In the new process: what it inherited from the master and does not need is closed first."""
        status = 1
        try:
            end_with_parent(master)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
            for other in self._places:
                if other is not place:
                    other.listening.close()
                if other.pid is not None:
                    os.close(other.beats)
            self._serve(place.listening, partial(_write, beat))
            status = 0
        except KeyboardInterrupt:
            status = 0
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)

    def _listen(self, at_most_s: float) -> None:
        """Until a process is heard or gone, a place is due, a signal came, or so long."""
        now_s = time.monotonic()
        vacant = [place for place in self._places if place.pid is None and not self._stopping]
        dues = [max(0.0, place.due_s - now_s) for place in vacant if self._greeted]
        beats = {place.beats: place for place in self._places if place.pid is not None}
        heard, _, _ = select.select([self._woken, *beats], [], [], min([at_most_s, *dues]))
        with suppress(BlockingIOError):
            os.read(self._woken, 64)
        for place in (beats[one] for one in heard if one in beats):
            if os.read(place.beats, 4096):
                place.heard_s, place.ready = time.monotonic(), True
            else:
                self._gone(place)
        if not self._greeted and all(place.ready for place in self._places):
            self._greeted = True
            say(self._greeting)

    def _gone(self, place: _Place) -> None:
        """The process on this place has ended: another one is due."""
        assert place.pid is not None  # noqa: S101 (only processes are heard)
        status = os.waitstatus_to_exitcode(os.waitpid(place.pid, 0)[1])
        os.close(place.beats)
        pid, place.pid, was_ready, place.ready = place.pid, None, place.ready, False
        if self._stopping:
            return
        if not self._greeted and not was_ready:
            self._end()
            sys.exit(status or 1)
        now_s = time.monotonic()
        place.short_lives = 0 if now_s - place.begun_s > LIVED_S else place.short_lives + 1
        wait_s = min(WAIT_MOST_S, WAIT_FIRST_S * 2 ** (place.short_lives - 1)) if place.short_lives else 0.0
        place.due_s = now_s + wait_s
        log.error("process_ended", process=pid, status=status, again_in_s=wait_s)

    def _kill_hung(self) -> None:
        for place in self._places:
            if place.pid is not None and time.monotonic() - place.heard_s > HUNG_AFTER_S:
                log.error("process_hung", process=place.pid)
                os.kill(place.pid, signal.SIGKILL)

    def _end(self) -> None:
        """Nobody is let in any more; the processes end as each would alone, and by force when that takes too long."""
        self._stopping = True
        for place in self._places:
            place.listening.close()
        until_s = time.monotonic() + END_WITHIN_S
        self._signal_all(signal.SIGTERM)
        while any(place.pid for place in self._places):
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                self._signal_all(signal.SIGKILL)
            self._listen(max(0.1, left_s))

    def _signal_all(self, which: signal.Signals) -> None:
        for place in self._places:
            if place.pid is not None:
                os.kill(place.pid, which)


def end_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent ends; it ends here when the parent is gone already."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _write(beat: int) -> None:
    with suppress(BlockingIOError):  # the master is held up: it finds what is written already
        os.write(beat, b".")
