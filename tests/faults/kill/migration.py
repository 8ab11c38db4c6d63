"""A migration that is killed between two revisions and begun again: the schema is the same as without the kill."""

from __future__ import annotations

import asyncio
import difflib
import re
import signal
import sys
from collections.abc import Mapping

from tests.support.server import CLONE
from tracking_server import embedded
from tracking_server.embedded import Installation

FRESH = "doorstep_fresh"
MIGRATE = "import sys; from tracking_server.store.migrate import migrate; migrate(sys.argv[1])"
RANDOM = re.compile(r"^\\(un)?restrict .*$", re.MULTILINE)  # newer versions of pg_dump write a word of their own


async def migrate_in_two_goes(
    servers: Installation, environment: Mapping[str, str], revision: int, template: str
) -> str | None:
    """Kill a migration of a fresh database when it has written this revision, then migrate; returns how its schema
    differs from the template's, None when it does not."""
    await asyncio.to_thread(embedded.drop_database, servers, FRESH)
    await asyncio.to_thread(embedded.create_database, servers, FRESH)
    killed = await _migrate(servers, {**environment, "FAULT_AT": f"during_migration:{revision}"})
    if killed != -signal.SIGKILL:
        return f"the migration was not killed, but ended with {killed}"
    again = await _migrate(servers, environment)
    if again:
        return f"the second go ended with {again}"
    wanted, made = await _schema(servers, template), await _schema(servers, FRESH)
    return "\n".join(difflib.unified_diff(wanted, made, "wanted", "made", lineterm="", n=1)) or None


async def _migrate(servers: Installation, environment: Mapping[str, str]) -> int:
    command = (sys.executable, "-c", MIGRATE, servers.owner_url(FRESH))
    process = await asyncio.create_subprocess_exec(
        *command, cwd=CLONE, env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait()


async def _schema(servers: Installation, database: str) -> list[str]:
    program = str(servers.postgres_programs() / "pg_dump")
    process = await asyncio.create_subprocess_exec(
        program, "--schema-only", "-h", str(servers.socket_folder), "-U", "doorstep_admin", database,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    return RANDOM.sub("", said.decode()).splitlines()
