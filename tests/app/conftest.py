"""The app in a real window that no screen shows."""

import tests.support.headless  # noqa: F401 - before any Kivy
from tests.support.served import client, firm, server

__all__ = ["client", "firm", "server"]
