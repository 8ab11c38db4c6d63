"""Pages and their streams where the service around them is not as it should be."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import ASGIApp

from tests.support.clocks import SetClock
from tests.support.firm import Firm
from tests.support.rows import statements
from tracking_server import tokens
from tracking_server.app import create_app
from tracking_server.domain.updates import JobChanged, Position
from tracking_server.embedded import Installation
from tracking_server.links import OpenLinks
from tracking_server.live.bus import Bus
from tracking_server.logs import configure_logs
from tracking_server.push import wire
from tracking_server.push.watched import WatchedJobs
from tracking_server.settings import Settings
from tracking_server.store.engine import Unavailable
from tracking_server.store.views import JobView


async def test_a_reader_is_told_in_words_when_the_store_is_away() -> None:
    """503 with a time to come back, on every way to a visit, for a link that may be good; not where the store is."""
    away = Settings(database_url="postgresql+psycopg://nobody@127.0.0.1:1/none", redis_url="redis://127.0.0.1:1")
    link_id = uuid4().hex
    token, _ = tokens.mint(uuid4(), tokens.Purpose.link)
    transport = httpx.ASGITransport(create_app(away))
    cookies = {"cookie": f"j-{link_id}={token}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://doorstep") as client:
        for path in (f"/j/{link_id}/updates", f"/j/{link_id}", f"/t/{token}", f"/t/{token}?c=1"):
            answer = await client.get(path, headers=cookies)
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "2"
            assert "This page tries again by itself." in answer.text
            assert "127.0.0.1" not in answer.text
        asked = await client.post(f"/t/{token}")
        assert (asked.status_code, "Please go back and send it again" in asked.text) == (503, True)
        for path in ("/docs", "/redoc", "/openapi.json"):
            assert (await client.get(path)).status_code == 404


async def test_a_position_moves_only_the_job_it_is_for(engine: AsyncEngine, bus: Bus, firm: Firm) -> None:
    """And the job is read again first when it changed since."""
    phone = await firm.phone()
    technician_id = phone.device.technician_id
    job_id, other_id = await firm.job(technician_id), await firm.job(technician_id)
    jobs = WatchedJobs(engine, bus, SetClock(firm.now_s))
    news, other_news = asyncio.Event(), asyncio.Event()
    with (
        jobs.watch(firm.organisation_id, job_id, news.set) as watched,
        jobs.watch(firm.organisation_id, other_id, other_news.set) as other,
    ):
        view, other_view = await jobs.view(watched), await jobs.view(other)
        assert view is not None
        assert other_view is not None
        at = Position(
            firm.organisation_id, technician_id, view.technician_version + 1, firm.now_s, -8.6, 41.1, None, None
        )
        jobs.hear(at)
        assert (await jobs.view(watched), news.is_set()) == (replace(view, technician_version=at.version), False)
        at = replace(at, version=at.version + 1, job_id=job_id, job_version=view.job.version)
        jobs.hear(at)
        moved = await jobs.view(watched)
        assert moved is not None
        assert moved.position == at
        assert news.is_set()
        assert not other_news.is_set()
        assert other.view is not None
        assert other.view.position is None

        jobs.hear(replace(at, version=at.version + 1, technician_id=UUID(int=1), job_version=view.job.version + 1))
        read_again = await jobs.view(watched)
        assert read_again is not None
        assert read_again.position is None, "it is as the store has it"


async def test_a_change_is_read_once_for_all_who_watch(engine: AsyncEngine, bus: Bus, firm: Firm) -> None:
    """What was heard already wakes nobody."""
    job_id = await firm.job()
    jobs, news = WatchedJobs(engine, bus, SetClock(firm.now_s)), asyncio.Event()
    with jobs.watch(firm.organisation_id, job_id, news.set) as watched:
        view = await jobs.view(watched)
        assert view is not None
        assert await jobs.view(watched) is view
        jobs.hear(JobChanged(firm.organisation_id, job_id, view.job.version + 1))
        assert news.is_set()
        assert await jobs.view(watched) is not view


async def test_who_begins_to_watch_sees_what_is(engine: AsyncEngine, bus: Bus, firm: Firm) -> None:
    """Not what others were told before a change that was lost on its way: never the old technician's card again."""
    first, second = await firm.phone("Ana Sousa"), await firm.phone("Rui Costa")
    job_id = await firm.job(first.device.technician_id)
    jobs, links, token = WatchedJobs(engine, bus, SetClock(firm.now_s)), OpenLinks(engine), await firm.link(job_id)
    with jobs.watch(firm.organisation_id, job_id, lambda: None) as watched:
        await jobs.view(watched)
        await firm.assign(job_id, second.device.technician_id, firm.now_s)
        opened = await links.open(token, firm.now_s)
        assert opened is not None
        with jobs.watch(firm.organisation_id, job_id, lambda: None) as again:
            view = await jobs.view(again, opened.versions)
    assert view is not None
    assert view.technician is not None
    assert view.technician.name == "Rui Costa"


async def test_many_who_come_at_once_cost_one_read_of_the_store(engine: AsyncEngine, bus: Bus, firm: Firm) -> None:
    """Ten pages of one visit by ten links: a look at all links, and one read of the job, that a later look shares; what
    has no version is a second old at most."""
    job_id = await firm.job((await firm.phone()).device.technician_id)
    tokens = [await firm.link(job_id) for _ in range(10)]
    clock = SetClock(firm.now_s)
    jobs, links = WatchedJobs(engine, bus, clock), OpenLinks(engine)
    with statements(engine) as asked:

        async def come(token: str) -> JobView | None:
            opened = await links.open(token, clock.now_s)
            assert opened is not None
            with jobs.watch(firm.organisation_id, job_id, lambda: None) as watched:
                return await jobs.view(watched, opened.versions)

        views = await asyncio.gather(*(come(token) for token in tokens))
        assert len({id(view) for view in views}) == 1
        opened = await links.open(tokens[0], clock.now_s)
        assert opened is not None
        looked = [await jobs.look(opened.link, opened.versions) for _ in range(2)]
        assert looked[0] is looked[1]
        assert sum("FROM link" in statement for statement in asked) == 2
        assert sum("FROM organisation" in statement for statement in asked) == 2
        clock.now_s += 1.5
        assert await jobs.look(opened.link, opened.versions) is not looked[0]


async def test_what_could_not_be_read_is_read_once_the_store_is_back(
    engine: AsyncEngine, bus: Bus, firm: Firm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next comparison wakes the stream that was told to look and could not; it shows what it has meanwhile."""
    job_id = await firm.job()
    jobs, news = WatchedJobs(engine, bus, SetClock(firm.now_s)), asyncio.Event()

    async def away(*_: UUID) -> None:
        raise Unavailable("a fault of ours")

    with jobs.watch(firm.organisation_id, job_id, news.set) as watched:
        view = await jobs.view(watched)
        assert view is not None
        jobs.hear(JobChanged(firm.organisation_id, job_id, view.job.version + 1))
        with monkeypatch.context() as patch:
            patch.setattr(jobs, "read", away)
            with pytest.raises(Unavailable):
                await jobs.view(watched)
        news.clear()
        await jobs._compare()
        assert news.is_set()
        assert await jobs.view(watched) is not view


async def test_the_service_is_not_ready_without_its_tasks(
    servers: Installation, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that ends takes the process down, for a supervisor to start it again."""
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr("os.kill", lambda pid, sign: killed.append((pid, sign)))

    async def fail(_: WatchedJobs) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(WatchedJobs, "run", fail)
    app = create_app(Settings(database_url=servers.app_url(database), redis_url=servers.redis_url))
    async with (
        running(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://doorstep") as client,
    ):
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["tasks"], answer.json()["store"]) == (503, False, True)
    assert len(killed) == 1


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncIterator[None]:
    """The lifespan, as a server runs it."""
    inbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    outbox: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
    life = asyncio.create_task(app({"type": "lifespan", "state": {}}, inbox.get, outbox.put))
    for word in ("startup", "shutdown"):
        inbox.put_nowait({"type": f"lifespan.{word}"})
        assert (await outbox.get())["type"] == f"lifespan.{word}.complete"
        if word == "startup":
            yield
    await life


def test_nobody_s_text_begins_a_line_of_the_stream() -> None:
    """Whatever a reader takes for the end of a line."""
    sent = wire.numbered(1, 1, wire.status("one\r\ntwo\rthree\nfour")).decode()
    assert sent == "id: 1.1\nevent: status\ndata: one\ndata: two\ndata: three\ndata: four\n\n"


def test_every_log_line_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Also those of libraries, with quotes and tracebacks in them."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logs()
        logging.getLogger("library").warning('it said "%s"', "no\nmore")
        try:
            raise RuntimeError("a fault")
        except RuntimeError:
            logging.getLogger("library").exception("failed")
            structlog.get_logger().exception("ours", job=UUID(int=1))
    finally:
        root.handlers[:], root.level = handlers, level
        structlog.reset_defaults()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ['it said "no\nmore"', "failed", "ours"]
    assert [line["level"] for line in lines] == ["warning", "error", "error"]
    assert lines[0]["logger"] == "library"
    assert all("RuntimeError: a fault" in line["exception"] for line in lines[1:])


async def test_a_cancellation_is_heard_whenever_it_comes(engine: AsyncEngine, servers: Installation) -> None:
    """Also by a subscription that is just being made."""
    for wait_ms in (0.0, 0.3, 0.6, 0.9, 1.2, 1.5, 2.0):
        bus = Bus(servers.redis_url)
        watching = asyncio.create_task(WatchedJobs(engine, bus, SetClock(0.0)).run())
        await asyncio.sleep(wait_ms / 1000)
        watching.cancel()
        _, left = await asyncio.wait([watching], timeout=2)
        assert not left
        await bus.close()
