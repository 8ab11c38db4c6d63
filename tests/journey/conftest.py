from tests.support.served import client, firm, server

__all__ = ["client", "firm", "server"]
