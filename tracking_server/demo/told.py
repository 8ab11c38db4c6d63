"""What the demo tells a newcomer once everything answers: where to look, and how to stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from tracking_server import words


@dataclass(frozen=True, slots=True)
class Page:
    """A customer's page: in which state it is now, for whom, in which language."""

    state: str
    customer: str
    language: str
    url: str


@dataclass(frozen=True, slots=True)
class Told:
    """All of it. `note` is something that a newcomer would wonder about."""

    firm: str
    pages: Sequence[Page]
    board: str
    email: str
    password: str
    sent: str
    phone: str
    local_only: bool
    ready_after_s: float
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "firm": self.firm,
            "pages": [asdict(page) for page in self.pages],
            "board": {"url": self.board, "email": self.email, "password": self.password},
            "sent": {"url": self.sent},
            "phone": {"url": self.phone, "local_only": self.local_only},
            "ready_after_s": round(self.ready_after_s, 2),
        }

    def show(self, console: Console) -> None:
        """For people: each address on a line of its own, to be clicked or copied."""

        def line(text: str = "", style: str = "") -> None:
            console.print(Text(text, style=style), soft_wrap=True)

        line()
        line(f"{self.firm} is at work.", "bold")
        line()
        line("What customers see", "bold")
        for page in self.pages:
            state = page.state.replace("_", " ")
            console.print(
                Text.assemble("  ", (f"{state:<12}", "green"), f" {page.customer}, {words.OWN_NAMES[page.language]}"),
                soft_wrap=True,
            )
            line(f"               {page.url}", "dim")
        line()
        line("What dispatchers see", "bold")
        line(f"  {self.board}")
        line(f"  sign in as {self.email} with the password {self.password}")
        line()
        line("What was sent: every e-mail and SMS as it arrives", "bold")
        line(f"  {self.sent}")
        line()
        line("On a phone", "bold")
        if self.local_only:
            line("  nothing here can be reached from other machines; without --host 127.0.0.1 it can")
        else:
            line(f"  all these links open on a phone in the same network; the service is {self.phone}")
        if self.note:
            line()
            line(self.note)
        line()
        line(f"Ready after {self.ready_after_s:.1f} s. Ctrl-C stops the demo and everything it started.")
