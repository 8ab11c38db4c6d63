"""Import this before any Kivy: a window without a screen, of one size on every machine, that eats no arguments."""

import os
import tempfile

ENVIRONMENT = {
    "SDL_VIDEODRIVER": "offscreen",
    "SDL_NO_SIGNAL_HANDLERS": "1",  # SDL would swallow the signal that ends a run that hangs
    "KIVY_NO_ARGS": "1",  # or it takes pytest's
    "KIVY_NO_CONFIG": "1",
    "KIVY_NO_FILELOG": "1",
    "KIVY_LOG_MODE": "PYTHON",
    "KIVY_METRICS_DENSITY": "1",
    "KIVY_METRICS_FONTSCALE": "1",
    "KIVY_DPI": "160",
    "LP_NUM_THREADS": "1",
}
os.environ.update(ENVIRONMENT)
os.environ["KIVY_HOME"] = tempfile.mkdtemp(prefix="doorstep-kivy-")

from kivy.config import Config  # noqa: E402

# What is drawn on is as large as the first window and does not grow with it.
LARGEST = (824, 1832)
OPTIONS = {"width": LARGEST[0], "height": LARGEST[1], "resizable": 0, "multisamples": 0, "maxfps": 60}
for option, value in OPTIONS.items():
    Config.set("graphics", option, value)
for option in list(Config.options("input")):
    Config.remove_option("input", option)
