"""The second composition root: what runs beside the service, sending messages and letting time pass."""

from __future__ import annotations

import asyncio
import signal

from tracking_server.clock import clock_from
from tracking_server.live.bus import Bus
from tracking_server.notify.worker import run_worker
from tracking_server.settings import Settings
from tracking_server.store.engine import create_engine
from tracking_server.sweep import sweep_forever


async def work(settings: Settings) -> None:
    """Send messages and sweep until cancelled or told to stop; a message on its way is finished."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    clock = clock_from(settings.clock)
    engine = create_engine(settings.database_url, pool_size=3)
    bus = Bus(settings.redis_url)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sweep_forever(engine, bus, clock))
            tasks.create_task(run_worker(settings, clock))
    finally:
        await bus.close()
        await engine.dispose()
