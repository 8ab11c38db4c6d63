"""A private PostgreSQL with PostGIS and a private Redis: for a laptop, a demo, the tests. With them goes a road engine
where the demo's roads were made (`embedded_roads.py`); it alone has a port, of the loopback only.

They belong to one clone, listen on no network, and run for as long as somebody uses them:

* A user (`with running() as installation`) holds a shared lock on the file `users.lock`.
* The keeper, a process of its own that the first user starts, has the servers as its children, and starts again one
  that dies. Once it gets that lock for itself, nobody uses the servers: it stops them and leaves.

The kernel gives a lock back however its holder ends, so the count of users is right even after a SIGKILL; and it ends
the servers with their keeper. Nothing is left behind. The keeper itself is in `embedded_keeper.py`.
"""

import fcntl
import hashlib
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from psycopg import sql

CLONE = Path(__file__).resolve().parents[1]
START_SECONDS = 60
STOP_SECONDS = 60
LONGEST_SOCKET_PATH = 107  # bytes, with the closing zero: sun_path in the kernel's unix.h holds 108
LOG_LINES_SHOWN = 5
POSTGRES_OLDEST = 15
POSTGRES_HOME = Path("/usr/lib/postgresql")  # Debian's place: a PostgreSQL found on PATH may be a client only


class EmbeddedError(Exception):
    """The embedded servers cannot run; the text says why and what to do."""


@dataclass(frozen=True)
class Installation:
    """Where the embedded servers of one clone keep their data, and how they are reached."""

    folder: Path

    @classmethod
    def of_this_clone(cls) -> "Installation":
        """Below /var/lib for root, below the home folder for others; DOORSTEP_EMBEDDED_FOLDER names another folder."""
        if named := os.environ.get("DOORSTEP_EMBEDDED_FOLDER"):
            return cls(Path(named).resolve())
        if os.geteuid() == 0:
            base = Path("/var/lib")
        else:
            base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        return cls(base / "doorstep" / short_hash(CLONE))

    @property
    def name(self) -> str:
        """Marks this installation's processes among others."""
        return f"doorstep-{short_hash(self.folder)}"

    @property
    def data(self) -> Path:
        return self.folder / "pg"

    @property
    def attachments(self) -> Path:
        """Photos and signatures from phones."""
        return self.folder / "attachments"

    @property
    def run_folder(self) -> Path:
        """Where the sockets are: beside the data, or below /tmp when that makes too long a path for a socket."""
        beside = self.folder / "run"
        longest = beside / "postgres" / ".s.PGSQL.5432.lock"
        if len(os.fsencode(longest)) < LONGEST_SOCKET_PATH:
            return beside
        return Path(f"/tmp/doorstep-{os.geteuid()}-{short_hash(self.folder)}")  # noqa: S108 - owner checked at the start

    @property
    def socket_folder(self) -> Path:
        """PostgreSQL's: its `host`."""
        return self.run_folder / "postgres"

    @property
    def redis_socket(self) -> Path:
        return self.run_folder / "redis" / "redis.sock"

    @property
    def redis_url(self) -> str:
        return f"unix://{quote(str(self.redis_socket))}"

    @property
    def road_engine_port_file(self) -> Path:
        """Written by the keeper before it starts the engine."""
        return self.folder / "road_engine.port"

    @property
    def road_engine_url(self) -> str:
        """Empty when no roads were made here."""
        if not self.road_engine_port_file.exists():
            return ""
        return f"http://127.0.0.1:{self.road_engine_port_file.read_text()}"

    def app_url(self, database: str = "doorstep") -> str:
        """For the running system: owns nothing, sees what row-level security lets it see."""
        return self._url("doorstep_app", database)

    def owner_url(self, database: str = "doorstep") -> str:
        """For `migrate` and `maintain`: owns the tables."""
        return self._url("doorstep_owner", database)

    def admin_url(self, database: str = "postgres") -> str:
        """The superuser: for making databases, and for tests."""
        return self._url("doorstep_admin", database)

    def _url(self, role: str, database: str) -> str:
        return f"postgresql+psycopg://{role}@/{quote(database)}?host={quote(str(self.socket_folder), safe='')}"

    def postgres_pids(self) -> list[int]:
        """PostgreSQL's processes, the postmaster first."""
        data, child = os.fsencode(self.data), f"postgres: {self.name}: ".encode()
        postmaster = [pid for pid, words in processes() if words[0].endswith(b"/postgres") and data in words]
        return postmaster + [pid for pid, words in processes() if words[0].startswith(child)]

    def redis_pids(self) -> list[int]:
        """Redis writes its socket into its command line."""
        sign = os.fsencode(self.redis_socket)
        return [pid for pid, words in processes() if b"redis-server" in words[0] and sign in b" ".join(words)]

    def road_engine_pids(self) -> list[int]:
        """By the configuration that it was started with."""
        config = os.fsencode(self.folder / "road_engine.json")
        return [pid for pid, words in processes() if words[0].endswith(b"/valhalla_service") and config in words]

    def keeper_pid(self) -> int | None:
        """The keeper holds a lock on this file for as long as it lives, and has written its number into it."""
        file = self.folder / "keeper.lock"
        if not file.exists():
            return None
        with file.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0) or None
            return None

    def postgres_programs(self) -> Path:
        """The programs of the version that the data was made with; before there is data, of the newest one here."""
        here = sorted(
            int(folder.parents[1].name)
            for folder in POSTGRES_HOME.glob("[0-9]*/bin/initdb")
            if Path(f"/usr/share/postgresql/{folder.parents[1].name}/extension/postgis.control").exists()
        )
        version_file = self.data / "PG_VERSION"
        wanted = int(version_file.read_text()) if version_file.exists() else max(here, default=0)
        if not here or here[-1] < POSTGRES_OLDEST:
            raise EmbeddedError(f"no PostgreSQL {POSTGRES_OLDEST} or newer with PostGIS here; run ./doorstep setup")
        if wanted not in here:
            raise EmbeddedError(
                f"the data in {self.folder} was made by PostgreSQL {wanted}, and only {here[-1]} is here now. Install "
                f"postgresql-{wanted}-postgis-3 again, or remove that folder to begin with empty data"
            )
        return POSTGRES_HOME / str(wanted) / "bin"

    def answer(self) -> bool:
        """Do PostgreSQL and Redis answer? Without a road engine everything else goes on."""
        return self.redis_answers() and self.postgres_answers()

    def postgres_answers(self) -> bool:
        if not (self.socket_folder / ".s.PGSQL.5432").exists():
            return False
        question = [str(self.postgres_programs() / "pg_isready"), "-q", "-h", str(self.socket_folder), "-p", "5432"]
        return subprocess.run(question, check=False).returncode == 0

    def redis_answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            try:
                connection.connect(str(self.redis_socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False

    def last_log_lines(self) -> str:
        lines: list[str] = []
        for name in ("keeper.log", "postgres.log", "redis.log"):
            file = self.folder / name
            if file.exists():
                lines += file.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        return "\n".join(lines)


@contextmanager
def running() -> Iterator[Installation]:
    """Have both servers up for as long as this block lasts."""
    installation = Installation.of_this_clone()
    make_folder(installation.folder)
    with locked(installation.folder / "users.lock", fcntl.LOCK_SH):
        with locked(installation.folder / "start.lock", fcntl.LOCK_EX):
            start_if_needed(installation)
        yield installation


def make_folder(folder: Path) -> None:
    """With the folders above it. Root's servers run as users of their own, who must be let through."""
    missing = [level for level in (folder, *folder.parents) if not level.exists()]
    try:
        for level in reversed(missing):
            level.mkdir(exist_ok=True)
            level.chmod(folder_mode())
    except OSError as error:
        raise EmbeddedError(f"cannot make {folder}: {error.strerror}") from error
    if folder.stat().st_uid != os.geteuid() or folder.stat().st_mode & stat.S_IWOTH:
        raise EmbeddedError(f"{folder} belongs to somebody else, or others may write in it")


def folder_mode() -> int:
    return 0o755 if os.geteuid() == 0 else 0o700


@contextmanager
def locked(file: Path, how: int) -> Iterator[None]:
    """Closing the file gives the lock back, and a fork that goes on keeps its share of it."""
    with file.open("a") as lock:
        fcntl.flock(lock, how)
        yield


def start_if_needed(installation: Installation) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not installation.answer():
        if time.monotonic() > deadline:
            lines = installation.last_log_lines()
            raise EmbeddedError(f"the servers do not answer after {START_SECONDS} s. Last lines of the log:\n{lines}")
        if installation.keeper_pid() is None:
            start_keeper()
        else:
            time.sleep(0.05)


def start_keeper() -> None:
    """Returns when the keeper says that its servers answer, or with its word on why they do not."""
    done = subprocess.run(
        [sys.executable, "-m", "tracking_server.embedded", "keep"],
        env={**os.environ, "PYTHONPATH": str(CLONE)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise EmbeddedError(done.stderr.strip())


def create_database(installation: Installation, name: str, template: str | None = None) -> None:
    """An empty one with PostGIS, or a copy of another one that nobody is connected to."""
    from psycopg import sql

    command = sql.SQL("CREATE DATABASE {} OWNER doorstep_owner TEMPLATE {}")
    _as_admin(installation, command.format(sql.Identifier(name), sql.Identifier(template or "template1")))


def drop_database(installation: Installation, name: str) -> None:
    """Also when somebody is still connected to it."""
    from psycopg import sql

    _as_admin(installation, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _as_admin(installation: Installation, command: "sql.Composed") -> None:
    import psycopg

    host = str(installation.socket_folder)
    with psycopg.connect(host=host, user="doorstep_admin", dbname="postgres", autocommit=True) as connection:
        connection.execute(command)


def processes() -> Iterator[tuple[int, list[bytes]]]:
    """Every process with its command line. Kernel threads have none, and what runs in a container is not ours."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().strip(b"\0")
            if line and not in_container(folder):
                yield int(folder.name), line.split(b"\0")
        except OSError:  # it has just ended
            continue


def in_container(process: Path) -> bool:
    """Its number is then another one in there: the kernel lists both."""
    for line in (process / "status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return len(line.split()) > 2
    return False


def short_hash(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def stop(installation: Installation) -> None:
    """Now, whoever is still using them."""
    deadline = time.monotonic() + STOP_SECONDS
    while pid := installation.keeper_pid():
        if time.monotonic() > deadline:
            raise EmbeddedError(f"the keeper (process {pid}) does not stop; see {installation.folder}/keeper.log")
        os.kill(pid, signal.SIGTERM)
        time.sleep(0.1)


def status(installation: Installation) -> str:
    keeper = installation.keeper_pid()
    if keeper is None:
        return f"not running; data in {installation.folder}"
    word = "answering" if installation.answer() else "not answering"
    roads = f", road engine at {url}" if (url := installation.road_engine_url) else ""
    servers = f"PostgreSQL in {installation.socket_folder}, Redis at {installation.redis_socket}{roads}"
    return f"{word}; keeper {keeper}, {servers}"


def main() -> None:
    """python -m tracking_server.embedded keep | stop | status"""
    from tracking_server.embedded_keeper import keep

    word = sys.argv[1] if len(sys.argv) == 2 else "help"
    installation = Installation.of_this_clone()
    try:
        if word == "keep":
            make_folder(installation.folder)
            keep(installation)
        elif word == "stop":
            stop(installation)
        elif word == "status":
            sys.stdout.write(status(installation) + "\n")
        else:
            sys.exit(f"usage: {main.__doc__}")
    except EmbeddedError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    # By its own name, so that the keeper's errors are the class that is caught above.
    from tracking_server import embedded

    embedded.main()
