"""What the app asks of the system it runs on: a phone has it, a desktop has something else in its place.

Android's part could not be tried: it is kept to single calls.
"""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kivy.utils import platform

from tech_app.core.navigation import Platform
from tech_app.ui.camera import Camera, PhoneCamera, PictureFiles
from tech_app.ui.permissions import AndroidPermissions, Granted, Permissions
from tech_app.ui.views.diagnostics import Device

VERSION = "0.1.0"  # as in pyproject.toml
PICTURES = Path.home() / "Pictures"


@dataclass(frozen=True)
class System:
    """`open_url` hands an address to another app and answers False when there is none; `leave` puts this one into the
    background, where the way back from the first screen leads; `invitation` is the pairing link that opened the app."""

    platform: Platform = Platform.desktop
    camera: Camera | None = None
    permissions: Permissions = field(default_factory=Granted)
    open_url: Callable[[str], object] = webbrowser.open
    leave: Callable[[], object] = lambda: None
    device: Callable[[], Device] = lambda: Device(VERSION)
    invitation: Callable[[], str | None] = lambda: None


def this_system() -> System:
    """The one we are on."""
    if platform == "android":
        permissions = AndroidPermissions()
        return System(
            Platform.android,
            PhoneCamera(),
            permissions,
            leave=lambda: _activity().moveTaskToBack(True),
            device=lambda: android_device(permissions),
            invitation=lambda: _activity().getIntent().getDataString(),
        )
    return System(camera=PictureFiles(PICTURES))


def android_device(permissions: AndroidPermissions) -> Device:
    """What the diagnostics say of an Android phone."""
    from jnius import autoclass  # on the phone only

    activity = _activity()
    context = autoclass("android.content.Context")
    power = activity.getSystemService(context.POWER_SERVICE)
    notices = activity.getSystemService(context.NOTIFICATION_SERVICE)
    return Device(
        VERSION,
        permissions.location(),
        bool(notices.areNotificationsEnabled()),
        not power.isIgnoringBatteryOptimizations(activity.getPackageName()),
    )


def _activity() -> Any:
    from jnius import autoclass

    return autoclass("org.kivy.android.PythonActivity").mActivity
