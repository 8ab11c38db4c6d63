"""The phone's queue: what was seen and tapped, in one SQLite file, until the service says that it has it.

Both processes of the app, the screen and the tracker, open the same file. A tap and a proof are on the disk when they
are kept, whatever happens to the battery; a fix survives the end of the app, and the last few may not survive an empty
battery. Nothing is forgotten but what an acknowledgement names.

A stream is a run of numbers from 1, of taps and fixes together, on one setting of the phone's clock. A new one begins
with a new file, with a day, when the phone was switched on again and when its clock was set. So numbers that an empty
battery took back are not given to other fixes, and each stream is sent with the time of its own clock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tech_app.core.clock import Clock
from tech_app.core.fix import Fix
from tech_app.core.tap import Tap, read_tap

# Three days at a fix every 2.6 s, which is more than sampling ever keeps.
MOST_FIXES = 100_000
# The service takes fixes of a stream up to three days after the day it began.
LONGEST_STREAM_DAYS = 2
# A clock that differs by more from one look to the next was set; the service does not correct less.
CLOCK_STEP_S = 30.0
OTHER_PROCESS_S = 10.0  # how long a write waits for one of the other process
DAY_S = 86_400
# The low bits of a stream are twelfths of a second into its day: the stream of a later installation is the larger one.
STREAM_DAY_SHIFT = 20
STREAMS_PER_SECOND = 12

SCHEMA = """
CREATE TABLE IF NOT EXISTS stream (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id INTEGER NOT NULL UNIQUE,
  last_seq INTEGER NOT NULL DEFAULT 0,
  offset_s REAL NOT NULL,
  ahead_s REAL NOT NULL DEFAULT 0,
  open INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE IF NOT EXISTS item (
  n INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  lane TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (n, seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tap ON item (n, seq) WHERE lane = 'tap';
CREATE TABLE IF NOT EXISTS file (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  job TEXT NOT NULL,
  kind TEXT NOT NULL,
  path TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  size INTEGER NOT NULL,
  made_s REAL NOT NULL,
  sent INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS memory (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS dead_tap (n INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL, verdict TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tiding (n INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tally (
  one INTEGER PRIMARY KEY CHECK (one = 1), fixes INTEGER NOT NULL, thinned INTEGER NOT NULL
);
INSERT OR IGNORE INTO tally VALUES (1, 0, 0);
"""

WAS_SET = "abs(offset_s - :offset_s) > :step_s"

Ranges = Sequence[tuple[int, int]]
Durability = Literal["NORMAL", "FULL"]


class NoRoom(Exception):
    """The phone's storage is full: delete something on it, then try again."""


@dataclass(frozen=True, slots=True)
class Row:
    """One queued tap or fix; `body` is its JSON with the number."""

    seq: int
    body: str


@dataclass(frozen=True, slots=True)
class Batch:
    """A piece of one stream, to be sent at once. `sent_s` is the present on the stream's clock."""

    n: int
    stream: int
    sent_s: float
    taps: tuple[Row, ...]
    fixes: tuple[Row, ...]

    @property
    def size(self) -> int:
        return len(self.taps) + len(self.fixes)

    def to_json(self, **more: int) -> str:
        """The body of a request, with `more` fields in front."""
        head = "".join(f'"{name}":{value},' for name, value in more.items())
        taps, fixes = (",".join(row.body for row in rows) for rows in (self.taps, self.fixes))
        return f'{{{head}"stream":{self.stream},"sent_at":{self.sent_s:.2f},"taps":[{taps}],"fixes":[{fixes}]}}'


@dataclass(frozen=True, slots=True)
class Facts:
    """What waits. `thinned` fixes were given up because the queue was full."""

    taps: int
    fixes: int
    files: int
    thinned: int


@dataclass(frozen=True, slots=True)
class DeadTap:
    """A tap that the service has and that changed nothing, and why: the technician is still to be told."""

    n: int
    tap: Tap
    verdict: str


@dataclass(frozen=True, slots=True)
class QueuedFile:
    """A photo or a signature that waits. `sent` bytes of it are known to have arrived."""

    id: str
    job: str
    kind: str
    path: Path
    sha256: str
    size: int
    made_s: float
    sent: int = 0


def open_outbox(path: Path, clock: Clock) -> tuple[Outbox, Path | None]:
    """The queue, and where a file lies that was found broken in its place: kept for whoever can mend it.

    A phone that cannot begin its day for a broken file would lose more than what was in it.
    """
    try:
        return Outbox(path, clock), None
    except sqlite3.OperationalError:
        raise  # locked, or no room: the file is well
    except sqlite3.DatabaseError:
        broken = path.with_name(f"{path.name}.broken-{clock.now():.0f}")
        for end in ("", "-wal", "-shm"):
            if (part := path.with_name(path.name + end)).exists():
                part.replace(broken.with_name(broken.name + end))
        return Outbox(path, clock), broken


class Outbox:
    """One connection to the queue. Every method is one transaction, or a part of `at_once`."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open the queue, or make it. Raises `sqlite3.DatabaseError` when the file is none."""
        self._clock = clock
        self._offset_s = clock.now() - clock.since_boot()
        self._durability: Durability | None = None
        self._db = sqlite3.connect(path, timeout=OTHER_PROCESS_S, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(SCHEMA)
            # 25 ms when the queue is full. What is broken in the middle would else be found by what is sent next.
            if self._db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("the file is broken")
            self._heed_restart()
        except BaseException:
            self._db.close()  # before another file takes its name
            raise

    def close(self) -> None:
        self._db.close()

    # ---- what is put in ----

    def append_fix(self, fix: Fix) -> int:
        """Keep a fix; returns its number. A full queue makes room by giving up every second of its older half."""
        with self._writing("NORMAL"):
            seq = self._insert("fix", fix.to_json())
            ((fixes,),) = self._db.execute("UPDATE tally SET fixes = fixes + 1 RETURNING fixes")
            if fixes > MOST_FIXES:
                self._thin(fixes)
        return seq

    def append_tap(self, tap: Tap, memory: Mapping[str, str] | None = None) -> int:
        """Keep a tap, and with it what the app remembers from then on; returns its number. Both are on the disk then,
        or neither."""
        with self._writing("FULL"):
            self._remember(memory or {})
            return self._insert("tap", tap.to_json())

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What is read and written inside belongs together: the other process writes before it or after it."""
        with self._writing("FULL"):
            yield

    def remember(self, memory: Mapping[str, str], durability: Durability = "FULL") -> None:
        """Keep values under their names, for both processes."""
        with self._writing(durability):
            self._remember(memory)

    def recall(self, name: str) -> str | None:
        """What was remembered last under a name."""
        row = self._db.execute("SELECT value FROM memory WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def add_file(self, file: QueuedFile) -> None:
        """Queue a file that lies at `file.path` already. The same id again changes nothing."""
        with self._writing("FULL"):
            values = (file.id, file.job, file.kind, str(file.path), file.sha256, file.size, file.made_s, file.sent)
            self._db.execute(
                "INSERT OR IGNORE INTO file (id, job, kind, path, sha256, size, made_s, sent)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )

    def append_tidings(self, bodies: Sequence[str]) -> None:
        """Keep what the technician is still to be told."""
        with self._writing("FULL"):
            self._db.executemany("INSERT INTO tiding (body) VALUES (?)", [(body,) for body in bodies])

    # ---- what is taken out ----

    def next_batch(self, most: int) -> Batch | None:
        """What to send next, at most `most` items: of the oldest stream its taps, its newest fix, its oldest fixes.

        The service follows the newest fix at once and judges arrivals in the order of the numbers. A later stream has
        to wait until the earlier is empty, as the service tells nothing of one that is older than what it knows.
        """
        self._heed_clock()
        oldest = self._db.execute(
            "SELECT n, id, ahead_s FROM stream WHERE n = (SELECT min(n) FROM item)",
        ).fetchone()
        if oldest is None:
            return None
        n, stream, ahead_s = oldest
        taps = self._rows("lane = 'tap' ORDER BY seq LIMIT ?", n, most)
        room = most - len(taps)
        newest = self._rows("lane = 'fix' ORDER BY seq DESC LIMIT ?", n, 1)
        backlog = self._rows("lane = 'fix' ORDER BY seq LIMIT ?", n, room)
        fixes = list({row.seq: row for row in (*newest, *backlog)}.values())
        # No room, no fix: while taps are left over, a fix could come before the start of its own shift.
        chosen = tuple(sorted(fixes[:room], key=lambda row: row.seq))
        return Batch(n, stream, self._clock.now() + ahead_s, tuple(taps), chosen)

    def forget(self, batch: Batch, ranges: Ranges, verdicts: Mapping[int, str]) -> int:
        """Delete what was sent in `batch` and is named by `ranges`; returns how many that was.

        A tap with a verdict changed nothing at the service: it stays among the `dead_taps`.
        """
        named = [row.seq for row in (*batch.taps, *batch.fixes) if any(a <= row.seq <= b for a, b in ranges)]
        with self._writing("NORMAL"):
            deleted = [
                (seq, lane, body)
                for seq in named
                for lane, body in self._db.execute(
                    "DELETE FROM item WHERE n = ? AND seq = ? RETURNING lane, body", (batch.n, seq)
                ).fetchall()
            ]
            fixes = sum(lane == "fix" for _, lane, _ in deleted)
            self._db.execute("UPDATE tally SET fixes = fixes - ?", (fixes,))
            dead = [(body, verdicts[seq]) for seq, lane, body in deleted if lane == "tap" and seq in verdicts]
            self._db.executemany("INSERT INTO dead_tap (body, verdict) VALUES (?, ?)", dead)
        return len(deleted)

    def next_file(self) -> QueuedFile | None:
        """The file that has waited longest."""
        row = self._db.execute(
            "SELECT id, job, kind, path, sha256, size, made_s, sent FROM file ORDER BY n LIMIT 1"
        ).fetchone()
        return None if row is None else _queued_file(row)

    def file_sent(self, file_id: str, sent: int) -> None:
        """Note that the service has this many bytes of a file."""
        with self._writing("NORMAL"):
            self._db.execute("UPDATE file SET sent = ? WHERE id = ?", (sent, file_id))

    def put_off_file(self, file_id: str) -> None:
        """Let the other files go first."""
        with self._writing("NORMAL"):
            self._db.execute("UPDATE file SET n = (SELECT max(n) + 1 FROM file) WHERE id = ?", (file_id,))

    def forget_file(self, file_id: str) -> None:
        """The service has the whole file. The file itself is the caller's to delete, before or after."""
        with self._writing("NORMAL"):
            self._db.execute("DELETE FROM file WHERE id = ?", (file_id,))

    # ---- what is shown ----

    def version(self) -> int:
        """Another number whenever the other process wrote something: cheap to ask."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def facts(self) -> Facts:
        """What waits."""
        row = self._db.execute(
            "SELECT (SELECT count(*) FROM item WHERE lane = 'tap'), fixes, (SELECT count(*) FROM file), thinned"
            " FROM tally"
        ).fetchone()
        return Facts(*row)

    def pending_taps(self) -> list[Tap]:
        """The taps that the service does not have yet, in order."""
        rows = self._db.execute("SELECT body FROM item WHERE lane = 'tap' ORDER BY n, seq")
        return [read_tap(body) for (body,) in rows]

    def pending_files(self) -> list[QueuedFile]:
        """The files that the service does not have yet, in order."""
        rows = self._db.execute("SELECT id, job, kind, path, sha256, size, made_s, sent FROM file ORDER BY n")
        return [_queued_file(row) for row in rows]

    def dead_taps(self) -> list[DeadTap]:
        """The taps without effect that nobody was told of."""
        rows = self._db.execute("SELECT n, body, verdict FROM dead_tap ORDER BY n")
        return [DeadTap(n, read_tap(body), verdict) for n, body, verdict in rows]

    def told(self, dead: DeadTap) -> None:
        """The technician was told."""
        with self._writing("NORMAL"):
            self._db.execute("DELETE FROM dead_tap WHERE n = ?", (dead.n,))

    def tidings(self) -> list[tuple[int, str]]:
        """What the technician is still to be told, by number."""
        return [(n, body) for n, body in self._db.execute("SELECT n, body FROM tiding ORDER BY n")]

    def forget_tiding(self, n: int) -> None:
        """The technician was told."""
        with self._writing("NORMAL"):
            self._db.execute("DELETE FROM tiding WHERE n = ?", (n,))

    # ---- streams ----

    @contextmanager
    def _writing(self, durability: Durability) -> Iterator[None]:
        """A transaction, or a part of one. NORMAL survives the end of the process, FULL also the end of the battery."""
        if self._db.in_transaction:
            yield
            return
        if self._durability != durability:
            self._db.execute(f"PRAGMA synchronous = {durability}")
            self._durability = durability
        self._heed_clock()
        with self._transaction():
            yield

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError) and "full" in str(error):
                raise NoRoom(NoRoom.__doc__) from error
            raise

    def _insert(self, lane: str, body: str) -> int:
        n = self._stream_of_now()
        ((seq,),) = self._db.execute("UPDATE stream SET last_seq = last_seq + 1 WHERE n = ? RETURNING last_seq", (n,))
        self._db.execute("INSERT INTO item VALUES (?, ?, ?, ?)", (n, seq, lane, f'{{"seq":{seq},{body[1:]}'))
        return int(seq)

    def _remember(self, memory: Mapping[str, str]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO memory VALUES (?, ?)", list(memory.items()))

    def _rows(self, which: str, n: int, most: int) -> list[Row]:
        rows = self._db.execute(f"SELECT seq, body FROM item WHERE n = ? AND {which}", (n, most))  # noqa: S608 - ours
        return [Row(*row) for row in rows]

    def _stream_of_now(self) -> int:
        """The open stream, or a new one: on a new day as soon as the old one is empty, which nobody waits for then."""
        today = int(self._clock.now() // DAY_S)
        row = self._db.execute("SELECT n, id >> ? FROM stream WHERE open", (STREAM_DAY_SHIFT,)).fetchone()
        if row is not None:
            n, day = row
            days = today - day
            if days == 0 or (0 < days < LONGEST_STREAM_DAYS and self._rows("1 LIMIT ?", n, 1)):
                return int(n)
        return self._begin_stream(today)

    def _begin_stream(self, today: int) -> int:
        self._db.execute("UPDATE stream SET open = 0")
        # The last of each day stays: a tablet without a clock of its own comes back to the same day with each start.
        self._db.execute(
            "DELETE FROM stream WHERE n NOT IN (SELECT n FROM item)"
            " AND id NOT IN (SELECT max(id) FROM stream GROUP BY id >> ?)",
            (STREAM_DAY_SHIFT,),
        )
        into_day_s = self._clock.now() - today * DAY_S
        first = (today << STREAM_DAY_SHIFT) + int(into_day_s * STREAMS_PER_SECOND)
        ((last,),) = self._db.execute("SELECT max(id) FROM stream WHERE id >> ? = ?", (STREAM_DAY_SHIFT, today))
        id_ = first if last is None else max(first, last + 1)
        ((n,),) = self._db.execute("INSERT INTO stream (id, offset_s) VALUES (?, ?) RETURNING n", (id_, self._offset_s))
        return int(n)

    def _heed_restart(self) -> None:
        """After the phone was switched on, or its clock was set while the app did not run, a new stream begins.

        What the clock of the earlier streams showed now is not known: they are sent with the present time.
        """
        changed = {"offset_s": self._offset_s, "step_s": CLOCK_STEP_S}
        if self._db.execute(f"SELECT 1 FROM stream WHERE {WAS_SET} LIMIT 1", changed).fetchone():  # noqa: S608 - ours
            with self._transaction():
                self._db.execute(f"UPDATE stream SET open = 0, offset_s = :offset_s WHERE {WAS_SET}", changed)  # noqa: S608

    def _heed_clock(self) -> None:
        """When the clock was set meanwhile, the streams so far go on with what it would have shown.

        A phone that starts in the wrong year is put right by the network just when it could send: without this its
        taps would be years old. Each stream says by itself which setting it goes by, as the other process may have
        noticed what this one did not, and the other way round.
        """
        self._offset_s = self._clock.now() - self._clock.since_boot()
        changed = {"offset_s": self._offset_s, "step_s": CLOCK_STEP_S}
        if self._db.execute(f"SELECT 1 FROM stream WHERE {WAS_SET} LIMIT 1", changed).fetchone():  # noqa: S608 - ours
            with self._transaction():
                self._db.execute(
                    "UPDATE stream SET open = 0, ahead_s = ahead_s + offset_s - :offset_s, offset_s = :offset_s"  # noqa: S608
                    f" WHERE {WAS_SET}",
                    changed,
                )

    def _thin(self, fixes: int) -> None:
        """Give up every second fix of the older half. Taps, files and the newer half are never touched.

        The service waits for numbers that are missing, at most a minute; it then judges without them.
        """
        older: list[tuple[Any, ...]] = self._db.execute(
            "SELECT n, seq FROM item WHERE lane = 'fix' ORDER BY n, seq LIMIT ?", (fixes // 2,)
        ).fetchall()
        given_up = older[1::2]
        self._db.executemany("DELETE FROM item WHERE n = ? AND seq = ?", given_up)
        self._db.execute("UPDATE tally SET fixes = fixes - :n, thinned = thinned + :n", {"n": len(given_up)})


def _queued_file(row: tuple[Any, ...]) -> QueuedFile:
    id_, job, kind, path, sha256, size, made_s, sent = row
    return QueuedFile(id_, job, kind, Path(path), sha256, size, made_s, sent)
