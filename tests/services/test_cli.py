"""The command line as people and scripts use it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import uuid4

import pytest

from tests.support.firm import Firm
from tests.support.rows import count, job_row, rows
from tests.support.server import CLONE, free_port
from tracking_server.__main__ import main
from tracking_server.embedded import Installation


@dataclass
class Done:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def environment(servers: Installation, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """This test's own database, in a narrow terminal."""
    for name in [name for name in os.environ if name.startswith("DOORSTEP_") and name != "DOORSTEP_EMBEDDED_FOLDER"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("DOORSTEP_EMBEDDED", "true")
    monkeypatch.setenv("DOORSTEP_DATABASE_URL", servers.app_url(database))
    monkeypatch.setenv("DOORSTEP_OWNER_DATABASE_URL", servers.owner_url(database))
    monkeypatch.setenv("DOORSTEP_REDIS_URL", servers.redis_url)


@pytest.fixture
def run(environment: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command; keywords are settings."""

    def call() -> int:
        try:
            return main()
        except SystemExit as end:
            return int(end.code or 0)

    def run(*arguments: str, **settings: str) -> Done:
        with monkeypatch.context() as patch, ThreadPoolExecutor() as threads:  # a thread has no loop yet
            patch.setattr(sys, "argv", ["doorstep", *arguments])
            for name, value in settings.items():
                patch.setenv(f"DOORSTEP_{name.upper()}", value)
            capsys.readouterr()
            code = threads.submit(call).result()
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return run


JOB = ("jobs", "create", "Leaking tap", "--lon=-8.61", "--lat=41.15", "--customer=Maria Lopes")


def test_a_taken_port_is_told_at_once(run: Run) -> None:
    """In one line, instead of hanging with everything started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "--port", str(port))
    assert done.returncode == 1
    assert done.stderr == f"port {port} is taken: choose another with --port\n"
    assert "port" in run("serve", "--port", "70000").stderr


def test_ctrl_c_ends_the_service_quietly(environment: None) -> None:
    """Also right after the start; and the greeting comes once it answers."""
    port = free_port()
    command = [sys.executable, "-m", "tracking_server", "serve", "--host", "0.0.0.0", "--port", str(port)]  # noqa: S104
    with subprocess.Popen(command, cwd=CLONE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"serving on http://127.0.0.1:{port} (Ctrl-C stops)\n"
        assert process.stderr.readline().startswith(f"the first owner begins at http://127.0.0.1:{port}/board/setup/")
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
        assert process.stderr.read() == ""


async def test_a_link_is_printed_whole(run: Run, firm: Firm) -> None:
    """On a line of its own, however narrow the terminal; and it begins with the public URL, without its slash."""
    done = run(*JOB, public_url="https://a-long-name-of-a-host.doorstep.example.org/")
    assert done.returncode == 0, done.stderr
    facts = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert facts["link"].startswith("https://a-long-name-of-a-host.doorstep.example.org/t/")
    assert len(facts["link"]) > 100
    assert json.loads(run("organisations", "show", "--json").stdout)[0]["id"] == str(firm.organisation_id)
    shown = run("jobs", "show").stdout
    assert "…" not in shown


async def test_what_does_not_exist_is_said_in_a_line(run: Run, firm: Firm) -> None:
    """Each with its kind and its id."""
    nobody = str(uuid4())
    for command, said in (
        (("technicians", "pair", nobody), f"there is no technician {nobody}"),
        (("technicians", "revoke", nobody), f"there is no technician {nobody}"),
        (("links", "create", nobody), f"there is no job {nobody}"),
        (("links", "revoke", nobody), f"there is no link {nobody}"),
        (("jobs", "show", "--organisation", nobody), f"there is no organisation {nobody}"),
    ):
        done = run(*command)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(said)
    assert await count(firm, "pairing_code") == 0


def test_bad_options_and_settings_are_named(run: Run) -> None:
    """With the option or the variable to put right."""
    for command, settings, said in (
        (("organisations", "create", "A", "--time-zone", "Lisbon"), {}, "there is no time zone 'Lisbon'"),
        (("organisations", "create", "A", "--language", "de"), {}, "one of en, th, ar"),
        ((*JOB, "--in-hours", "1e9"), {}, "--in-hours"),
        (("jobs", "shw"), {}, "Usage: ./doorstep jobs"),
        (("jobs", "show"), {"flushers": "0"}, "DOORSTEP_FLUSHERS: "),
        (("jobs", "show"), {"redis_url": ""}, "DOORSTEP_REDIS_URL: "),
        (("jobs", "show"), {"mail_from": "nobody"}, "DOORSTEP_MAIL_FROM: "),
    ):
        done = run(*command, **settings)
        assert done.returncode
        assert said in done.stderr
        assert "Traceback" not in done.stderr


async def test_a_setup_token_is_for_one_firm(run: Run, firm: Firm) -> None:
    """The only one, or one of several that is named, or a new one."""
    done = run("setup-token", public_url="https://doorstep.example.org")
    assert done.stdout.startswith("link: https://doorstep.example.org/board/setup/")
    await Firm.create(firm.engine, firm.now_s, "Another firm")
    assert "say which of the 2 organisations" in run("setup-token").stderr
    for option in (("--organisation", str(firm.organisation_id)), ("--new",)):
        assert run("setup-token", *option).returncode == 0


async def test_a_lost_phone_and_a_link_are_revoked(run: Run, firm: Firm) -> None:
    """Both by the ids that the commands and the page show."""
    phone = await firm.phone()
    job_id = await firm.job(phone.device.technician_id)
    await firm.link(job_id)
    done = run("technicians", "revoke", str(phone.device.technician_id))
    assert "phones_revoked: 1" in done.stdout
    version = (await job_row(firm, job_id)).version
    (link,) = await rows(firm, "link")
    assert run("links", "revoke", link.id.hex).returncode == 0
    (link,) = await rows(firm, "link")
    assert link.revoked_at is not None
    assert (await job_row(firm, job_id)).version == version + 1


async def test_messages_are_listed_shown_and_previewed(run: Run, firm: Firm) -> None:
    """What became of each and why; and any kind in any language and channel for a job, without sending it."""
    job_id = json.loads(run(*JOB, "--phone=+351 912 345 678", "--email=maria@example.com", "--json").stdout)[0]["id"]
    (listed,) = json.loads(run("messages", "list", "--job", job_id, "--json").stdout)
    assert (listed["kind"], listed["channel"], listed["state"], listed["contact"]) == (
        "booked", "sms", "owed", "Maria Lopes",
    )  # fmt: skip
    assert json.loads(run("messages", "list", "--state", "failed", "--json").stdout) == []
    shown = run("messages", "show", listed["id"]).stdout
    assert "recipient: +351912345678" in shown
    assert "draft" not in shown
    for kind in ("booked", "reminder", "on_the_way", "delayed", "completed", "correction"):
        for language in ("en", "th", "ar"):
            preview = ("messages", "preview", job_id, kind, "--language", language, "--json")
            (short,) = json.loads(run(*preview).stdout)
            assert "Ribeira Plumbing" in short["text"]
            assert 1 <= short["parts"] <= 4
            assert "Leaking tap" in json.loads(run(*preview, "--channel", "email").stdout)[0]["body"]
    told = json.loads(
        json.loads(run("messages", "preview", job_id, "booked", "--channel=webhook", "--json").stdout)[0]["body"]
    )
    assert told["data"]["job"] == job_id
    assert await count(firm, "message") == 1
    assert "has not failed" in run("messages", "retry", listed["id"]).stderr


async def test_message_settings_are_changed_one_by_one(run: Run, firm: Firm) -> None:
    """What is named changes, null is the default again; what is wrong is said in a line and changes nothing."""
    assert run("messages", "settings", '{"sms_per_job": 3, "quiet_from": "22:00"}').returncode == 0
    shown = json.loads(run("messages", "settings", "--json").stdout)[0]
    assert (shown["sms_per_job"], shown["quiet_from"], shown["sms_per_day"]) == (3, "22:00", 500)
    assert json.loads(run("messages", "settings", '{"sms_per_job": null}', "--json").stdout)[0]["sms_per_job"] == 6
    for change, said in (
        ("{", "write the change as JSON"),
        ('{"sms": 3}', "there is no setting sms; there is quiet_from"),
        ('{"quiet_from": "9pm"}', "quiet_from: write a time of day as 21:00"),
        ('{"channels": ["sms", "sms"]}', "channels: name sms and email"),
        (
            '{"templates": {"booked": {"en": {"sms": "{{ x.y }}"}}}}',
            "templates.booked.en.sms: only facts as {{ name }}",
        ),
    ):
        done = run("messages", "settings", change)
        assert done.returncode == 1
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert json.loads(run("messages", "settings", "--json").stdout)[0]["quiet_from"] == "22:00"


async def test_a_webhook_s_secret_is_shown_once(run: Run, firm: Firm) -> None:
    """At its creation; an address inside is refused there already."""
    made = json.loads(run("webhooks", "create", "https://example.com/hook", "--json").stdout)[0]
    assert made["secret"].startswith("whsec_")
    listed = run("webhooks", "show", "--json").stdout
    assert made["id"] in listed
    assert made["secret"] not in listed
    assert run("webhooks", "disable", made["id"]).returncode == 0
    assert "turned off by hand" in run("webhooks", "show", "--json").stdout
    assert run("webhooks", "enable", made["id"]).returncode == 0
    assert run("webhooks", "delete", made["id"]).returncode == 0
    assert f"there is no webhook {made['id']}" in run("webhooks", "delete", made["id"]).stderr
    assert "127.1" not in run("webhooks", "create", "https://127.1/").stdout
    assert run("webhooks", "create", "https://127.1/").returncode == 1


async def test_an_address_is_one_address_and_a_number_one_number(run: Run, firm: Firm) -> None:
    """Two addresses, line breaks and shell words are refused by type, before anything is kept."""
    for option in ("--email=a@example.com, b@example.com", "--email=a@example.com\r\nBcc: b@example.com",
                   "--phone=+1;rm", "--phone=912345678", "--phone=+351912345678,+351912345679"):  # fmt: skip
        done = run(*JOB, option)
        assert done.returncode
        assert "Traceback" not in done.stderr
    assert await count(firm, "job") == 0


def test_what_a_visit_asks_for_as_proof(run: Run) -> None:
    """By the firm's rule, a job's own, and a word that is no rule is refused in a line."""
    organisation = json.loads(run("organisations", "create", "Ribeira Plumbing", "--json").stdout)[0]["id"]
    shown = run("organisations", "proof", "--photo", "required", "--note", "off", "--json")
    assert json.loads(shown.stdout) == [{"photo": "required", "signature": "optional", "note": "off"}]
    place = ["--lon", "-8.6", "--lat", "41.1", "--customer", "Maria Lopes", "--json"]
    job = json.loads(run("jobs", "create", "Leaking tap", *place, "--signature", "required").stdout)[0]["id"]
    assert run("jobs", "proof", job, "--photo", "off").returncode == 0
    again = run("organisations", "proof", "--organisation", organisation, "--json")
    assert json.loads(again.stdout)[0]["photo"] == "required"
    assert run("jobs", "proof", str(uuid4()), "--photo", "off").returncode == 1
    assert run("jobs", "proof", job, "--photo", "maybe").returncode == 2


def test_a_folder_that_cannot_be_written_to_is_said_before_a_photo_comes(run: Run) -> None:
    """By `doctor`, and `serve` does not begin."""
    for command in ("doctor", "serve"):
        done = run(command, attachments="/proc/photos")
        assert done.returncode == 1
        assert "/proc/photos cannot be written to" in "".join(" ".join((done.stdout + done.stderr).split()))
