"""The process that has the embedded servers as its children. Why there is one: `embedded.py`."""

import fcntl
import logging
import math
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tracking_server import embedded_roads, region
from tracking_server.embedded import LOG_LINES_SHOWN, START_SECONDS, EmbeddedError, Installation, folder_mode

TICK_SECONDS = 0.25
SETTLED_SECONDS = 1  # a server that cannot run (full disk, damaged data) ends within a blink
UNUSED_SECONDS = 3  # between two commands of a person or a script, the servers stay
START_PATIENCE_SECONDS = 3  # for a server that dies again and again at its start
ROADS_PATIENCE_SECONDS = 15  # the road engine can be done without
LONGEST_PAUSE_SECONDS = 4  # between two starts: when there is room on the disk again it is back well within 10 s
LINES_SEARCHED = 40  # of a server's log, for what it said when it ended
LOG_KEPT_BYTES = 5_000_000
ROOM_MB = 500  # an empty cluster takes 70 MB, its log may grow to max_wal_size and beyond

POSTGRES_SETTINGS = """\
listen_addresses = ''
port = 5432
unix_socket_directories = '{socket_folder}'
unix_socket_permissions = 0770
hba_file = '{folder}/pg_hba.conf'
ident_file = '{folder}/pg_ident.conf'
cluster_name = '{name}'
lc_messages = 'C'
timezone = 'UTC'
log_timezone = 'UTC'

# what was acknowledged is on the disk
fsync = on
full_page_writes = on
synchronous_commit = on

# for a machine of 2 cores that also runs everything else
max_connections = 100
shared_buffers = '256MB'
effective_cache_size = '2GB'
work_mem = '8MB'
max_wal_size = '2GB'
checkpoint_timeout = '15min'
wal_compression = lz4
jit = off
random_page_cost = 1.1
max_parallel_workers = 2
autovacuum_max_workers = 2
autovacuum_naptime = '15s'
autovacuum_vacuum_insert_scale_factor = 0.05
idle_in_transaction_session_timeout = '60s'
lock_timeout = '10s'
"""

POSTGRES_ACCESS = "local all all peer map=doorstep\n"  # the kernel says who asks; there is no password

# template1 has PostGIS, so every new database has it. Since version 15 only a database's owner may make tables in its
# schema public.
FIRST_START = """\
CREATE EXTENSION postgis;

CREATE ROLE doorstep_owner LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB;

CREATE ROLE doorstep_app LOGIN NOINHERIT NOSUPERUSER NOCREATEROLE NOCREATEDB;

CREATE ROLE doorstep_ingest NOLOGIN;

CREATE ROLE doorstep_watch NOLOGIN;

GRANT doorstep_ingest, doorstep_watch TO doorstep_app;

CREATE DATABASE doorstep OWNER doorstep_owner TEMPLATE template1;

"""

INITDB_OPTIONS = [
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    "--lc-messages=C",
    "--data-checksums",
    "--auth-local=peer",
    "--auth-host=reject",
    "--no-instructions",
    "--no-sync",  # once, at the end
]

REDIS_SETTINGS = """\
port 0
unixsocket {socket}
unixsocketperm 770
dir {folder}
save ""
appendonly no
maxmemory 128mb
maxmemory-policy noeviction
databases 1
daemonize no
"""

log = logging.getLogger("keeper")


def keep(installation: Installation) -> None:
    """Start the keeper as a process of its own; return when its servers answer, raise what keeps them from it."""
    hear, tell = os.pipe()
    if os.fork() == 0:
        try:
            os.close(hear)
            be_the_keeper(installation, tell)
        finally:
            os._exit(0)
    os.close(tell)
    if not select.select([hear], [], [], START_SECONDS)[0]:
        raise EmbeddedError(f"the servers are still starting. Last lines of the log:\n{installation.last_log_lines()}")
    with open(hear) as words:
        answer = words.read()
    if answer != "ready":
        raise EmbeddedError(answer or f"the keeper died. Last lines of the log:\n{installation.last_log_lines()}")


def be_the_keeper(installation: Installation, tell: int) -> None:
    with os.fdopen(tell, "w") as starter:
        try:
            detach(installation)
            # Left in reverse: the servers stop first, then whoever waits for the users' lock may start them anew.
            with only_keeper(installation), users_lock(installation) as users, all_servers(installation) as servers:
                starter.write("ready")
                starter.close()
                watch(servers, users)
        except Exception as error:
            log.exception("the keeper gives up")
            if not starter.closed:
                starter.write(str(error) or repr(error))


def detach(installation: Installation) -> None:
    """Away from the terminal of whoever started it; its words go to a log."""
    os.setsid()
    os.chdir("/")
    os.umask(0o022)
    with log_file(installation, "keeper.log") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s keeper: %(message)s")


def log_file(installation: Installation, name: str) -> IO[bytes]:
    path = installation.folder / name
    if path.exists() and path.stat().st_size > LOG_KEPT_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


@contextmanager
def only_keeper(installation: Installation) -> Iterator[None]:
    """The lock by which others see that there is a keeper, with its process number in the file."""
    with (installation.folder / "keeper.lock").open("a") as lock:
        deadline = time.monotonic() + 2  # somebody who looks whether there is a keeper takes it for a moment
        while not taken(lock):
            if time.monotonic() > deadline:
                raise EmbeddedError("there is a keeper already")
            time.sleep(0.01)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def users_lock(installation: Installation) -> Iterator[IO[str]]:
    with (installation.folder / "users.lock").open("a") as users:
        yield users


def taken(lock: IO[str]) -> bool:
    """Take the lock for this process alone, if nobody has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def all_servers(installation: Installation) -> Iterator[list["Server"]]:
    """Prepare, start, and stop at the end: whatever happens in between."""
    end_leftovers(installation.postgres_pids)
    end_leftovers(installation.redis_pids)
    make_run_folder(installation)
    if not installation.data.exists():
        make_cluster(installation)
    servers = [postgres(installation), redis(installation), *road_engine(installation)]
    for server in servers:
        server.start()
    try:
        while not installation.answer():
            for server in servers:
                server.keep_up(START_PATIENCE_SECONDS)
            time.sleep(0.02)
        log.info("PostgreSQL and Redis answer")
        yield servers
    finally:
        for server in servers:
            server.stop()


def watch(servers: Sequence["Server"], users: IO[str]) -> None:
    """Until nobody uses the servers any more (the users' lock is then ours, and stays so), or somebody says stop."""
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: asked.append(number))
    last_used = time.monotonic()
    while not asked:
        for server in servers:
            server.keep_up()
        if not taken(users):
            last_used = time.monotonic()
        elif time.monotonic() - last_used > UNUSED_SECONDS:
            log.info("nobody uses the servers")
            return
        else:
            fcntl.flock(users, fcntl.LOCK_UN)
        time.sleep(TICK_SECONDS)
    log.info("asked to stop")


class Server:
    """One child process. The kernel stops it, too, when the keeper ends by whatever cause."""

    def __init__(
        self, name: str, command: Sequence[str], user: str, stop_signal: signal.Signals, output: IO[bytes]
    ) -> None:
        self.name = name
        self.stop_signal = stop_signal
        self.command = [*as_user(user, "--pdeathsig", stop_signal.name.removeprefix("SIG")), *command]
        self.output = output
        self.trouble_since: float | None = None
        self.pause = TICK_SECONDS
        self.start_at: float | None = None

    def start(self) -> None:
        """From the main thread only: what the kernel does when its parent dies is tied to the thread that forks."""
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            self.command, cwd="/", stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output, process_group=0
        )

    def keep_up(self, patience_seconds: float = math.inf) -> None:
        """Start it again when it has died; after longer and longer pauses when it keeps dying right after its start, as
        it does while the disk is full. Raises `EmbeddedError` when that goes on for longer than `patience_seconds`."""
        code = self.process.poll()
        if code is None:
            return
        now = time.monotonic()
        if self.start_at is None:
            if now - self.started > SETTLED_SECONDS:
                self.trouble_since, self.pause = None, TICK_SECONDS
            self.trouble_since = self.trouble_since or now
            if now - self.trouble_since > patience_seconds:
                raise EmbeddedError(f"{self.name} does not stay up. {last_words(self.output.name)}")
            log.warning("%s ended with %s, next start in %s s. %s", self.name, code, self.pause, why(self.output.name))
            self.start_at = now + self.pause  # its orphans may need a moment to notice
            self.pause = min(self.pause * 2, LONGEST_PAUSE_SECONDS)
        elif now >= self.start_at:
            self.start_at = None
            self.start()

    def stop(self) -> None:
        for signal_number, seconds in ((self.stop_signal, 30), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
            self.process.send_signal(signal_number)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
            log.info("%s stopped", self.name)
            return


class RoadEngine(Server):
    """Can be done without: when it does not stay up, that is logged, and the others go on."""

    given_up = False

    def keep_up(self, patience_seconds: float = ROADS_PATIENCE_SECONDS) -> None:
        """Start it again when it has died, until that is of no use."""
        if self.given_up:
            return
        try:
            super().keep_up(patience_seconds)
        except EmbeddedError as error:
            log.warning("going on without it: %s", error)
            self.given_up = True


def postgres(installation: Installation) -> Server:
    """SIGINT is its fast shutdown: transactions are rolled back, what was committed is flushed."""
    folder = installation.folder
    places = {"folder": folder, "socket_folder": installation.socket_folder, "name": installation.name}
    (folder / "postgresql.conf").write_text(POSTGRES_SETTINGS.format(**places))
    (folder / "pg_hba.conf").write_text(POSTGRES_ACCESS)
    me = pwd.getpwuid(os.geteuid()).pw_name
    roles = ("doorstep_admin", "doorstep_owner", "doorstep_app")
    (folder / "pg_ident.conf").write_text("".join(f'doorstep "{me}" {role}\n' for role in roles))
    for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf"):
        (folder / name).chmod(0o644)
    program = str(installation.postgres_programs() / "postgres")
    command = [program, "-D", str(installation.data), "-c", f"config_file={folder}/postgresql.conf"]
    return Server("PostgreSQL", command, "postgres", signal.SIGINT, log_file(installation, "postgres.log"))


def redis(installation: Installation) -> Server:
    place = installation.redis_socket
    settings = installation.folder / "redis.conf"
    settings.write_text(REDIS_SETTINGS.format(socket=place, folder=place.parent))
    settings.chmod(0o644)
    command = ["redis-server", str(settings)]
    return Server("Redis", command, "redis", signal.SIGTERM, log_file(installation, "redis.log"))


def road_engine(installation: Installation) -> list[Server]:
    """None where no roads were made. It keeps nothing, so that a SIGKILL is as good an end as any, and the quickest."""
    installation.road_engine_port_file.unlink(missing_ok=True)
    if not region.ROADS.exists():
        return []
    port = free_port()
    sockets = installation.run_folder / "roads"
    sockets.mkdir(mode=0o700, exist_ok=True)
    config = installation.folder / "road_engine.json"
    embedded_roads.write_config(config, port, sockets)
    installation.road_engine_port_file.write_text(str(port))
    command = embedded_roads.command(config)
    return [RoadEngine("the road engine", command, "", signal.SIGKILL, log_file(installation, "road_engine.log"))]


def free_port() -> int:
    """Of the loopback. The engine takes it a moment later, as its library can only listen by number."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def as_user(user: str, *options: str) -> list[str]:
    """Before a command: as root, it runs as that user, or for none as root with no more than the right to read (what
    is in the clone is perhaps closed to others); as anybody else, as oneself."""
    if os.geteuid() != 0:
        return ["setpriv", *options, "--"]
    if not user:
        return ["setpriv", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all,+dac_read_search", *options, "--"]
    group = pwd.getpwnam(user).pw_gid
    return ["setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups", "--no-new-privs", *options, "--"]


def make_run_folder(installation: Installation) -> None:
    """Only the server's user and its group may come to a socket: that is the fence, there is no password."""
    top = installation.run_folder
    top.mkdir(mode=folder_mode(), exist_ok=True)
    if top.stat().st_uid != os.geteuid() or top.is_symlink():
        raise EmbeddedError(f"{top} belongs to somebody else")
    for user, folder in (("postgres", installation.socket_folder), ("redis", installation.redis_socket.parent)):
        folder.mkdir(exist_ok=True)
        give_to(user, folder, 0o750)


def give_to(user: str, folder: Path, mode: int) -> None:
    if os.geteuid() == 0:
        shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)
    folder.chmod(mode)


def make_cluster(installation: Installation) -> None:
    """Under another name until it is complete: there is no half-made cluster."""
    free = shutil.disk_usage(installation.folder).free // 2**20
    if free < ROOM_MB:
        raise EmbeddedError(f"the disk of {installation.folder} has {free} MB free; a new database needs {ROOM_MB} MB")
    if subprocess.run([*as_user("postgres"), "test", "-x", str(installation.folder)], check=False).returncode:
        raise EmbeddedError(f"a folder above {installation.folder} is closed to the user postgres; choose another one")
    new = installation.folder / "pg.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    give_to("postgres", new, 0o700)
    programs = installation.postgres_programs()
    initdb = [str(programs / "initdb"), "-D", str(new)]
    as_postgres([*initdb, "--username=doorstep_admin", *INITDB_OPTIONS])
    as_postgres([str(programs / "postgres"), "--single", "-j", "-D", str(new), "template1"], FIRST_START)
    as_postgres([*initdb, "--sync-only"])
    new.rename(installation.data)


def as_postgres(command: Sequence[str], words: str = "") -> None:
    command = [*as_user("postgres"), *command]
    done = subprocess.run(command, cwd="/", input=words, capture_output=True, text=True, check=False)
    if done.returncode or "ERROR:" in done.stderr:  # a --single PostgreSQL goes on after an error, and ends with 0
        raise EmbeddedError(f"a new database could not be made:\n{done.stdout}{done.stderr}".rstrip())


def end_leftovers(pids: Callable[[], list[int]]) -> None:
    """Of an earlier keeper that was killed: its servers are on their way out. Wait for them, and insist if need be."""
    for signal_number, seconds in ((signal.SIGINT, 20), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        for pid in pids():
            log.info("sending %s to process %s, left by an earlier keeper", signal_number.name, pid)
            os.kill(pid, signal_number)
        deadline = time.monotonic() + seconds
        while pids() and time.monotonic() < deadline:
            time.sleep(0.05)


def last_words(file: str | bytes | int) -> str:
    words = "\n".join(last_lines(file, LOG_LINES_SHOWN))
    return f"{advice(words)}Its last words:\n{words}"


def why(file: str | bytes | int) -> str:
    """What a server said of its end, in one line; empty when it said nothing."""
    fatal = [line for line in last_lines(file, LINES_SEARCHED) if "PANIC:" in line or "FATAL:" in line]
    return f"{advice(fatal[-1])}It said: {fatal[-1]}" if fatal else ""


def last_lines(file: str | bytes | int, count: int) -> list[str]:
    return Path(str(file)).read_text(errors="replace").splitlines()[-count:]


def advice(words: str) -> str:
    return "The disk is full: make room. " if "No space left" in words else ""
