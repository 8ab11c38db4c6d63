"""The worker: takes messages owed off the queue, four at a time, and tries again what can still succeed.

It outlives the database's restarts, and takes up what a killed worker left half done.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
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
from tracking_server.notify.channels.email import Unreachable, mailer_from
from tracking_server.notify.sender import Parts, send_message, settle
from tracking_server.settings import Settings
from tracking_server.store import queue
from tracking_server.store.engine import STATEMENT_TIMEOUT_MS, create_engine

log = structlog.get_logger()
CONCURRENCY = 4
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 86_400.0
MOST_TRIES = 16  # 45 hours in all: a mail server may be down for a night
HEARTBEAT_S = 10.0
STALLED_AFTER_S = 30.0  # three heartbeats missed
LOOK_FOR_STALLED_S = 10.0  # so that a killed worker's message is taken up within 45 s
STOP_WITHIN_S = 20.0  # longer than one answer of the mail server may take
CONNECT_WITHIN_S = 5.0
RECONNECT_S = 2.0


async def run_worker(settings: Settings, clock: Clock) -> None:
    """Send messages until cancelled; what is being sent then is finished first."""
    engine = create_engine(settings.database_url, pool_size=CONCURRENCY)
    parts = Parts(engine, clock, settings, mailer_from(settings))
    try:
        while True:
            try:
                await _work(create_queue_app(parts))
                log.warning("worker_stopped")  # it lost the connection on which it listens
            except (ConnectorException, psycopg.Error, OSError) as error:
                log.warning("worker_failed", error=type(error).__name__)
                if _is_cancelled():  # the database went away while the worker said goodbye to it
                    raise asyncio.CancelledError from None
            await asyncio.sleep(RECONNECT_S)
    finally:
        await engine.dispose()


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _work(app: App) -> None:
    watching = asyncio.create_task(_take_up_stalled(app))
    try:
        await app.open_async()
        await app.run_worker_async(
            queues=[queue.MESSAGES],
            concurrency=CONCURRENCY,
            delete_jobs="successful",  # the message's row is the record
            install_signal_handlers=False,
            shutdown_graceful_timeout=STOP_WITHIN_S,
            update_heartbeat_interval=HEARTBEAT_S,
            stalled_worker_timeout=STALLED_AFTER_S,
        )
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await app.close_async()


def create_queue_app(parts: Parts) -> App:
    """The queue with its one task, on connections of its own."""
    app = App(
        connector=PsycopgConnector(
            conninfo=conninfo(parts.settings.database_url),
            kwargs={
                "connect_timeout": int(CONNECT_WITHIN_S),
                "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c timezone=UTC",
            },
            min_size=1,
            max_size=CONCURRENCY,
            timeout=CONNECT_WITHIN_S,
        )
    )

    @app.task(name=queue.SEND_MESSAGE, queue=queue.MESSAGES, pass_context=True, retry=Backoff())
    async def task(context: JobContext, organisation_id: str, message_id: str) -> None:
        await attempt(parts, UUID(organisation_id), UUID(message_id), context.job.attempts + 1)

    return app


async def attempt(parts: Parts, organisation_id: UUID, message_id: UUID, number: int) -> None:
    """Try once; the last time a failure settles the message."""
    try:
        await send_message(parts, organisation_id, message_id)
    except Exception as error:
        reason = str(error) if isinstance(error, Unreachable) else type(error).__name__
        log.warning("message_not_sent_yet", message=str(message_id), attempt=number, reason=reason)
        if number < MOST_TRIES:
            raise
        await settle(parts, organisation_id, message_id, Standing.failed, f"gave_up: {reason}")


class Backoff(BaseRetryStrategy):
    """Wait twice as long after every failure. Giving up is the task's own business: it settles the message."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:
        return RetryDecision(retry_in={"seconds": int(wait_s(job.attempts))})


def wait_s(failures_before: int) -> float:
    """How long to wait after a failure."""
    return min(FIRST_WAIT_S * 2.0 ** min(failures_before, 20), LONGEST_WAIT_S)


async def _take_up_stalled(app: App) -> None:
    """Queue again what workers without a heartbeat had begun."""
    while True:
        await asyncio.sleep(LOOK_FOR_STALLED_S)
        try:
            stalled = await app.job_manager.get_stalled_jobs(
                queue=queue.MESSAGES, seconds_since_heartbeat=STALLED_AFTER_S
            )
            for job in stalled:
                log.info("stalled_taken_up", job=job.id)
                await app.job_manager.retry_job(job, retry_at=datetime.now(UTC))
        except ConnectorException as error:  # the database is away, or another worker was faster
            log.warning("stalled_not_taken_up", error=type(error).__name__)


def conninfo(database_url: str) -> str:
    """A SQLAlchemy URL as psycopg reads it, a socket's folder in the query included."""
    url = make_url(database_url)
    arguments, parameters = url.get_dialect()().create_connect_args(url)
    return make_conninfo(*arguments, **parameters)
