"""What is asked of Android itself, through pyjnius: thin, as there was no phone to try it on."""

from __future__ import annotations

import importlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SERVICE = "Tracker"  # as in buildozer.spec
NOTICE_ID = 1  # p4a numbers services from 1 and shows their notices under their number
CHANNEL = "shift"
BATTERY_CAPACITY = 4  # BatteryManager.BATTERY_PROPERTY_CAPACITY
IMPORTANCE_LOW = 2  # shown, without a sound
ICON = ""  # the app's own


@dataclass(frozen=True, slots=True)
class Notice:
    """What is shown for as long as the shift is followed, in the technician's words. `channel` is what they find in
    the system's settings."""

    channel: str = "Shift"
    title: str = "On shift"
    text: str = "Your firm and the customer you drive to can see where you are."

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def read_notice(text: str | None) -> Notice:
    """The reverse of `to_json`. A service that the system itself started again is told nothing."""
    try:
        return Notice(**json.loads(text or ""))
    except (ValueError, TypeError):
        return Notice()


def is_android() -> bool:
    return "ANDROID_ARGUMENT" in os.environ


def data_folder() -> Path:
    """The app's own, for both of its processes; other apps cannot read it."""
    return Path(os.environ["ANDROID_PRIVATE"]) / "doorstep"


def start_tracker(notice: Notice) -> None:
    """Start the service. Raises OSError when Android does not allow it, as while the app is not on the screen."""
    activity = _java("org.kivy.android.PythonActivity").mActivity
    service = _java(f"{activity.getPackageName()}.Service{SERVICE}")
    try:
        service.start(activity, ICON, notice.title, notice.text, notice.to_json())
    except importlib.import_module("jnius").JavaException as error:
        raise OSError(f"the tracker may not start now: {error}") from error


def show_notice(notice: Notice) -> None:
    """In the service: p4a's own notice is on a channel of no importance, which nobody sees."""
    service = _java("org.kivy.android.PythonService").mService
    manager = service.getSystemService(_java("android.content.Context").NOTIFICATION_SERVICE)
    manager.createNotificationChannel(_java("android.app.NotificationChannel")(CHANNEL, notice.channel, IMPORTANCE_LOW))
    builder = _java("android.app.Notification$Builder")(service, CHANNEL)
    builder.setContentTitle(notice.title)
    builder.setContentText(notice.text)
    builder.setSmallIcon(service.getApplicationInfo().icon)
    builder.setOngoing(True)
    intent = service.getPackageManager().getLaunchIntentForPackage(service.getPackageName())
    pending = _java("android.app.PendingIntent")
    builder.setContentIntent(pending.getActivity(service, 0, intent, pending.FLAG_IMMUTABLE))
    manager.notify(NOTICE_ID, builder.build())


def battery_pct() -> float | None:
    """What is left of it; None where the system does not say."""
    context = _java("org.kivy.android.PythonService").mService or _java("org.kivy.android.PythonActivity").mActivity
    manager = context.getSystemService(_java("android.content.Context").BATTERY_SERVICE)
    left = int(manager.getIntProperty(BATTERY_CAPACITY))
    return float(left) if 0 <= left <= 100 else None


def _java(name: str) -> Any:
    return importlib.import_module("jnius").autoclass(name)
