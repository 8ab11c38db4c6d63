"""A database of the benches' own, on the embedded servers: new at the start, gone at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tracking_server import embedded
from tracking_server.store.migrate import migrate

DATABASE = "doorstep_bench"


@contextmanager
def own_database(name: str = DATABASE) -> Iterator[embedded.Installation]:
    """The installation that has it, by this name."""
    with embedded.running() as installation:
        embedded.drop_database(installation, name)
        embedded.create_database(installation, name)
        migrate(installation.owner_url(name))
        try:
            yield installation
        finally:
            embedded.drop_database(installation, name)
