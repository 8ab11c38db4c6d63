"""The embedded PostgreSQL and Redis: up while somebody uses them, gone afterwards, whoever is killed in between.

With an installation of their own, so that nothing here can hurt the one that the other tests use.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tracking_server import embedded, embedded_keeper
from tracking_server.embedded import EmbeddedError, Installation, create_database, drop_database, running

USER = """
import sys
from tracking_server.embedded import running
with running() as installation:
    print(installation.keeper_pid(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def private_folder() -> Iterator[Path]:
    """Not pytest's own temporary folder: that one is closed to the users whom root's servers run as."""
    folder = Path(tempfile.mkdtemp(prefix="doorstep-test-"))
    folder.chmod(0o755)
    yield folder
    embedded.stop(Installation(folder))
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def installation(private_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    monkeypatch.setenv("DOORSTEP_EMBEDDED_FOLDER", str(private_folder))
    return Installation.of_this_clone()


def wait_until(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def ask(url: str, question: str) -> object:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        row = connection.execute(question).fetchone()
    return row[0] if row else None


def tell(url: str, command: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(command)


@contextmanager
def another_process() -> Iterator[subprocess.Popen[str]]:
    """A second user, as a process of its own; it has told its keeper when this begins."""
    command = [sys.executable, "-c", USER]
    environment = {**os.environ, "PYTHONPATH": str(embedded.CLONE)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
        yield user
        user.kill()


def keeper_of(user: subprocess.Popen[str]) -> int:
    assert user.stdout is not None
    return int(user.stdout.readline())


def all_gone(installation: Installation) -> bool:
    return not (installation.keeper_pid() or installation.postgres_pids() or installation.redis_pids())


def test_three_roles_and_a_database_with_postgis() -> None:
    """Neither is a superuser; the app owns nothing, and takes up its narrower roles only on purpose."""
    with running() as installation:
        assert ask(installation.app_url(), "SELECT postgis_version()")
        assert ask(
            installation.owner_url(), "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'doorstep'"
        )
        rights = "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname ~ '^doorstep_' AND "
        assert ask(installation.app_url(), rights + "rolsuper") == "doorstep_admin"
        assert ask(installation.app_url(), rights + "rolbypassrls") == "doorstep_admin"
        assert ask(installation.app_url(), rights + "rolcreaterole") == "doorstep_admin"
        assert ask(installation.app_url(), rights + "pg_has_role('doorstep_app', oid, 'usage')") == "doorstep_app"
        with psycopg.connect(installation.app_url().replace("+psycopg", "")) as connection:
            connection.execute("SET ROLE doorstep_ingest")
            connection.execute("SET ROLE doorstep_watch")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SET ROLE doorstep_owner")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            tell(installation.app_url(), "CREATE TABLE mine (n int)")


def test_what_was_committed_is_safe_and_no_port_is_open() -> None:
    with running() as installation:
        for setting in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
            assert ask(installation.app_url(), f"SHOW {setting}") == "on"
        assert ask(installation.app_url(), "SHOW listen_addresses") == ""


def test_databases_for_tests_come_and_go() -> None:
    """A copy has what its template had, and a database goes away even when somebody is connected to it."""
    with running() as installation:
        create_database(installation, "template_for_tests")
        tell(installation.owner_url("template_for_tests"), "CREATE TABLE made_by_owner AS SELECT 7 AS n")
        create_database(installation, "a test's copy", template="template_for_tests")
        assert ask(installation.owner_url("a test's copy"), "SELECT n FROM made_by_owner") == 7
        with psycopg.connect(installation.owner_url("a test's copy").replace("+psycopg", "")):
            drop_database(installation, "a test's copy")
        drop_database(installation, "template_for_tests")
        assert ask(installation.app_url(), "SELECT count(*) FROM pg_database WHERE NOT datistemplate") == 2


def test_users_share_one_keeper_and_its_servers() -> None:
    """Two who begin at the same time get the same servers; they stay when the first one leaves."""
    with another_process() as second, another_process() as third:
        keeper = keeper_of(second)
        assert keeper_of(third) == keeper
        with running() as installation:
            assert installation.keeper_pid() == keeper
            postmaster = installation.postgres_pids()[0]
        second.kill()
        time.sleep(embedded_keeper.UNUSED_SECONDS + 1)
        assert installation.keeper_pid() == keeper
        assert installation.postgres_pids()[0] == postmaster


def test_a_killed_postmaster_comes_back_with_what_was_committed() -> None:
    with running() as installation:
        tell(installation.owner_url(), "CREATE TABLE IF NOT EXISTS before_the_kill (n int)")
        tell(installation.owner_url(), "INSERT INTO before_the_kill VALUES (1)")
        killed = installation.postgres_pids()[0]
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: installation.postgres_pids()[:1] != [killed] and installation.postgres_answers())
        assert ask(installation.owner_url(), "SELECT count(*) FROM before_the_kill") == 1
        tell(installation.owner_url(), "DROP TABLE before_the_kill")


def test_a_killed_redis_comes_back() -> None:
    with running() as installation:
        (killed,) = installation.redis_pids()
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: installation.redis_pids() not in ([], [killed]) and installation.redis_answers())


def test_a_killed_keeper_leaves_no_server_behind() -> None:
    """The next start does not trip over what is left, and has the data."""
    with running() as installation:
        tell(installation.owner_url(), "CREATE TABLE kept AS SELECT 1 AS n")
        keeper = installation.keeper_pid()
        assert keeper
        os.kill(keeper, signal.SIGKILL)
        with running():  # at once, while the old servers are still on their way out
            assert installation.keeper_pid() not in (None, keeper)
            assert ask(installation.owner_url(), "SELECT n FROM kept") == 1
            tell(installation.owner_url(), "DROP TABLE kept")
            keeper = installation.keeper_pid()
            assert keeper
            os.kill(keeper, signal.SIGKILL)
        wait_until(lambda: all_gone(installation))


def test_a_server_that_cannot_run_is_started_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it can, when it has run before; at the keeper's own start, somebody waits to be told why."""
    for name in ("TICK_SECONDS", "LONGEST_PAUSE_SECONDS"):
        monkeypatch.setattr(embedded_keeper, name, 0.01)
    (tmp_path / "starts").touch()
    says = "echo 'PANIC:  could not write: No space left on device'; echo 1 >> starts; exit 1"
    with (tmp_path / "log").open("ab") as log:
        command = ["sh", "-c", f"cd {tmp_path}; {says}"]
        server = embedded_keeper.Server("the server", command, "", signal.SIGKILL, log)
        server.start()
        wait_until(lambda: server.keep_up() or (tmp_path / "starts").read_text().count("1") >= 5)
        with pytest.raises(EmbeddedError, match=r"The disk is full: make room\."):
            wait_until(lambda: server.keep_up(patience_seconds=0.1))
        server.stop()


def test_the_servers_stop_when_the_last_user_is_gone(installation: Installation) -> None:
    """Also a user who was killed is gone. The stop is a clean one."""
    with another_process() as user:
        keeper_of(user)
        user.kill()
        user.wait()
        assert installation.answer()
        wait_until(lambda: all_gone(installation))
    assert "database system is shut down" in (installation.folder / "postgres.log").read_text().splitlines()[-1]


def test_stop_stops_at_once(installation: Installation) -> None:
    with running():
        embedded.stop(installation)
        assert all_gone(installation)
        assert embedded.status(installation).startswith("not running")


def test_data_of_another_postgresql_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "pg").mkdir()
    (tmp_path / "pg" / "PG_VERSION").write_text("9\n")
    with pytest.raises(embedded.EmbeddedError, match=r"made by PostgreSQL 9.*Install postgresql-9-postgis-3"):
        Installation(tmp_path).postgres_programs()


def test_a_deep_folder_gets_its_sockets_elsewhere() -> None:
    """The kernel takes no longer path for a socket."""
    deep = Installation(Path("/srv") / ("very-" * 20) / "deep")
    assert len(str(deep.socket_folder / ".s.PGSQL.5432")) < embedded.LONGEST_SOCKET_PATH
    assert len(str(deep.redis_socket)) < embedded.LONGEST_SOCKET_PATH
