"""A store that was away is asked by one caller first, whatever that one wants of it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.firm import Firm
from tests.support.tcp_proxy import Mode, TcpProxy, tcp_proxied
from tracking_server.embedded import Installation
from tracking_server.store.engine import Unavailable, create_engine, snapshot, transaction

SOCKET = ".s.PGSQL.5432"


@pytest.fixture
async def line(servers: Installation) -> AsyncIterator[TcpProxy]:
    with tempfile.TemporaryDirectory() as folder:  # a socket's path is to be short
        async with tcp_proxied(Path(folder) / SOCKET, servers.socket_folder / SOCKET) as proxy:
            yield proxy


@pytest.fixture
async def distant(line: TcpProxy, servers: Installation, database: str) -> AsyncIterator[AsyncEngine]:
    """The store, through a line that can break."""
    folder = str(Path(str(line.place)).parent)
    engine = create_engine(f"postgresql+psycopg://doorstep_app@/{database}?host={folder}")
    yield engine
    await engine.dispose()


@pytest.mark.parametrize("first", [transaction, snapshot])
async def test_the_first_to_ask_after_an_outage_is_answered(
    distant: AsyncEngine, line: TcpProxy, firm: Firm, first: object
) -> None:
    """Also one who reads as at one moment: nothing may be queried before that is said."""
    assert callable(first)
    line.fail(Mode.resets)
    with pytest.raises(Unavailable):
        async with first(distant, firm.organisation_id):
            pass
    line.fail(Mode.passes)
    async with first(distant, firm.organisation_id) as connection:
        assert await connection.scalar(sa.text("SELECT count(*) FROM organisation")) == 1
