"""A database of the benches' own, on the embedded servers: new at the start, gone at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tracking_server import embedded
from tracking_server.store.migrate import migrate

DATABASE = "doorstep_bench"


@contextmanager
def own_database() -> Iterator[embedded.Installation]:
    """The installation that has it, as `DATABASE`."""
    with embedded.running() as installation:
        embedded.drop_database(installation, DATABASE)
        embedded.create_database(installation, DATABASE)
        migrate(installation.owner_url(DATABASE))
        try:
            yield installation
        finally:
            embedded.drop_database(installation, DATABASE)
