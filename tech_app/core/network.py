"""Whether what the phone sends and fetches costs its owner money."""

from __future__ import annotations

import os


def is_metered() -> bool:
    """Whether the network counts what is fetched. Only Android tells (not tried on a phone); elsewhere it does not."""
    if "ANDROID_ARGUMENT" not in os.environ:
        return False
    from jnius import autoclass  # type: ignore[import-not-found]  # on the phone only

    context = autoclass("org.kivy.android.PythonActivity").mActivity
    network = context.getSystemService(autoclass("android.content.Context").CONNECTIVITY_SERVICE)
    return bool(network.isActiveNetworkMetered())
