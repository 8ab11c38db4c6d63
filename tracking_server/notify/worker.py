"""The worker: takes messages owed off the queue, some at a time, and tries again what can still succeed.

It outlives the database's restarts, and takes up what a killed worker left half done.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import structlog
from procrastinate import App, BaseRetryStrategy, JobContext, PsycopgConnector, RetryDecision
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job
from psycopg.conninfo import make_conninfo
from sqlalchemy import make_url

from tracking_server.clock import Clock
from tracking_server.domain.message import Standing
from tracking_server.notify.channels import channels_from
from tracking_server.notify.sender import MOST_TRIES, Later, Parts, TooEarly, send_message, settle, wait_s
from tracking_server.settings import Settings
from tracking_server.store import queue
from tracking_server.store.connection import CONNECT, CONNECT_WITHIN_S, ImpatientConnection
from tracking_server.store.engine import FREE_WITHIN_S, create_engine

log = structlog.get_logger()
CONCURRENCY = 4
WEBHOOK_CONCURRENCY = 4
HEARTBEAT_S = 10.0
LOOK_EVERY_S = 5.0  # for messages that have waited long enough; new ones make themselves heard
FASTEST_LOOK_S = 0.2
FASTEST_HEARTBEAT_S = 1.0
BEATS_MISSED = 3  # after 30 s a worker is taken for dead, and within 45 s its messages are taken up
STOP_WITHIN_S = 20.0  # longer than one answer of the mail server may take
OPEN_WITHIN_S = CONNECT_WITHIN_S + 1.0  # then anew: its pool would wait for longer and longer before it tries again
RECONNECT_S = 2.0


async def run_worker(settings: Settings, clock: Clock) -> None:
    """Send messages until cancelled; what is being sent then is finished first."""
    engine = create_engine(settings.database_url, pool_size=CONCURRENCY + WEBHOOK_CONCURRENCY)
    parts = Parts(engine, clock, settings, channels_from(settings, clock))
    try:
        while True:
            try:
                await _work(create_queue_app(parts), clock)
                log.warning("worker_stopped")  # it lost the connection on which it listens
            except (ConnectorException, psycopg.Error, OSError, TimeoutError) as error:
                log.warning("worker_failed", error=type(error).__name__)
                if _is_cancelled():  # the database went away while the worker said goodbye to it
                    raise asyncio.CancelledError from None
            await asyncio.sleep(RECONNECT_S)
    finally:
        await engine.dispose()


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _work(app: App, clock: Clock) -> None:
    """Work on both queues until cancelled, or until one of them loses its connection."""
    tasks = [asyncio.create_task(_take_up_stalled(app, clock))]
    try:
        async with asyncio.timeout(OPEN_WITHIN_S):
            await app.open_async()
        working = [
            asyncio.create_task(_take(app, clock, queue.MESSAGES, CONCURRENCY)),
            asyncio.create_task(_take(app, clock, queue.WEBHOOKS, WEBHOOK_CONCURRENCY)),
        ]
        tasks += working
        await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        await app.close_async()
    for how in ended:
        if isinstance(how, Exception):
            raise how


async def _take(app: App, clock: Clock, from_queue: str, concurrency: int) -> None:
    await app.run_worker_async(
        queues=[from_queue],
        concurrency=concurrency,
        delete_jobs="successful",  # the message's row is the record
        fetch_job_polling_interval=max(clock.real_s(LOOK_EVERY_S), FASTEST_LOOK_S),
        install_signal_handlers=False,
        shutdown_graceful_timeout=STOP_WITHIN_S,
        update_heartbeat_interval=heartbeat_s(clock),
        stalled_worker_timeout=heartbeat_s(clock) * BEATS_MISSED,
    )


def heartbeat_s(clock: Clock) -> float:
    """How often a worker says that it lives, in the machine's seconds: faster on a fast clock, within reason."""
    return max(clock.real_s(HEARTBEAT_S), FASTEST_HEARTBEAT_S)


def create_queue_app(parts: Parts) -> App:
    """The queue with its one task, on connections of its own."""
    app = App(
        connector=PsycopgConnector(
            conninfo=conninfo(parts.settings.database_url),
            kwargs=CONNECT,
            connection_class=ImpatientConnection,
            min_size=1,
            max_size=CONCURRENCY + WEBHOOK_CONCURRENCY,
            timeout=FREE_WITHIN_S,
        )
    )

    @app.task(name=queue.SEND_MESSAGE, queue=queue.MESSAGES, pass_context=True, retry=Backoff(parts.clock))
    async def task(context: JobContext, organisation_id: str, message_id: str) -> None:
        await attempt(parts, UUID(organisation_id), UUID(message_id), context.job.attempts + 1)

    return app


async def attempt(parts: Parts, organisation_id: UUID, message_id: UUID, number: int) -> None:
    """Look at a message once. What nobody foresaw is tried again too, and settles the message the last time."""
    try:
        await send_message(parts, organisation_id, message_id)
    except (Later, TooEarly):
        raise
    except Exception as error:
        reason = type(error).__name__
        log.warning("message_not_sent_yet", message=str(message_id), attempt=number, reason=reason)
        if number < MOST_TRIES:
            raise
        await settle(parts, organisation_id, message_id, Standing.failed, f"gave_up: {reason}")


class Backoff(BaseRetryStrategy):
    """As long as the message has to wait, in the machine's seconds. Giving up is the task's own business."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:
        after_s = exception.wait_s if isinstance(exception, Later) else wait_s(job.attempts)
        return RetryDecision(retry_at=datetime.now(UTC) + timedelta(seconds=self._clock.real_s(after_s)))


async def _take_up_stalled(app: App, clock: Clock) -> None:
    """Queue again what workers without a heartbeat had begun. Heartbeats bear the time of day: right after a jump of
    the clock all of them look old, or none, until each worker has said again that it lives."""
    ahead_s = _ahead_of_monotonic_s()
    while True:
        await asyncio.sleep(heartbeat_s(clock))
        before_s, ahead_s = ahead_s, _ahead_of_monotonic_s()
        if abs(ahead_s - before_s) > heartbeat_s(clock):
            log.warning("clock_jumped", by_s=round(ahead_s - before_s))
            continue
        try:
            stalled = await app.job_manager.get_stalled_jobs(
                task_name=queue.SEND_MESSAGE, seconds_since_heartbeat=heartbeat_s(clock) * BEATS_MISSED
            )
            for job in stalled:
                log.info("stalled_taken_up", job=job.id)
                await app.job_manager.retry_job(job, retry_at=datetime.now(UTC))
        except ConnectorException as error:  # the database is away, or another worker was faster
            log.warning("stalled_not_taken_up", error=type(error).__name__)


def _ahead_of_monotonic_s() -> float:
    """By how much the time of day is ahead of the clock that nobody sets; changes when somebody sets the other."""
    return time.time() - time.monotonic()


def conninfo(database_url: str) -> str:
    """A SQLAlchemy URL as psycopg reads it, a socket's folder in the query included."""
    url = make_url(database_url)
    arguments, parameters = url.get_dialect()().create_connect_args(url)
    return make_conninfo(*arguments, **parameters)
