"""The few widgets that every screen is made of: large to touch, readable in the sun, mirrored for Arabic."""

from tech_app.ui.widgets.banner import Banner
from tech_app.ui.widgets.button_row import ButtonRow
from tech_app.ui.widgets.card import Card, TouchCard
from tech_app.ui.widgets.chip import Chip
from tech_app.ui.widgets.field import Field
from tech_app.ui.widgets.icon import Icon
from tech_app.ui.widgets.page import Page
from tech_app.ui.widgets.photo import Photo
from tech_app.ui.widgets.push_button import PushButton
from tech_app.ui.widgets.row import Column, Row
from tech_app.ui.widgets.sheet import Choice, Sheet
from tech_app.ui.widgets.signature import Signature
from tech_app.ui.widgets.snackbar import Snackbar
from tech_app.ui.widgets.text import Text
from tech_app.ui.widgets.timer import Timer
from tech_app.ui.widgets.top_bar import TopBar

__all__ = [
    "Banner",
    "ButtonRow",
    "Card",
    "Chip",
    "Choice",
    "Column",
    "Field",
    "Icon",
    "Page",
    "Photo",
    "PushButton",
    "Row",
    "Sheet",
    "Signature",
    "Snackbar",
    "Text",
    "Timer",
    "TopBar",
    "TouchCard",
]
