"""What the phone's owner has to allow before the app may look: asked for in the system's own dialogs, one after the
other, after the app has said why."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Permissions(Protocol):
    """What is allowed now, and the system's questions."""

    def location(self) -> bool:
        """Whether the app may know where the phone is, exactly, while it is used."""
        ...

    async def ask_location(self) -> bool:
        """Ask for it; returns whether it is allowed then."""
        ...

    async def ask_notices(self) -> None:
        """Ask to show notifications: of an app that follows one, the system shows that it does."""
        ...

    def open_settings(self) -> None:
        """The system's page for this app, where what was refused for good can be allowed."""
        ...


class Granted:
    """A desktop: nothing is asked."""

    def location(self) -> bool:
        return True

    async def ask_location(self) -> bool:
        return True

    async def ask_notices(self) -> None:
        return None

    def open_settings(self) -> None:
        return None


class AndroidPermissions:
    """Android's. Not tried on a phone.

    "While using the app" is enough: the tracker is started by the technician's own tap, with the app open.
    """

    def location(self) -> bool:
        from android.permissions import Permission, check_permission  # python-for-android's, on the phone only

        return bool(check_permission(Permission.ACCESS_FINE_LOCATION))

    async def ask_location(self) -> bool:
        from android.permissions import Permission

        # Both at once, or Android 12 offers no exact place.
        await _ask([Permission.ACCESS_FINE_LOCATION, Permission.ACCESS_COARSE_LOCATION])
        return self.location()

    async def ask_notices(self) -> None:
        await _ask(["android.permission.POST_NOTIFICATIONS"])  # below Android 13 the answer comes at once

    def open_settings(self) -> None:
        from jnius import autoclass

        activity = autoclass("org.kivy.android.PythonActivity").mActivity
        intent = autoclass("android.content.Intent")("android.settings.APPLICATION_DETAILS_SETTINGS")
        intent.setData(autoclass("android.net.Uri").parse(f"package:{activity.getPackageName()}"))
        activity.startActivity(intent)


async def _ask(names: list[str]) -> None:
    from android.permissions import request_permissions

    loop = asyncio.get_running_loop()
    answered: asyncio.Future[None] = loop.create_future()
    request_permissions(
        names, lambda *_: loop.call_soon_threadsafe(lambda: answered.done() or answered.set_result(None))
    )
    await answered
