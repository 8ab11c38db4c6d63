"""`./doorstep demo`."""

from __future__ import annotations

import sys

import typer

from tracking_server.demo.command import demo
from tracking_server.embedded import EmbeddedError
from tracking_server.installation import UserError, console

if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(demo)
    try:
        app(prog_name="./doorstep demo")
    except (UserError, EmbeddedError) as error:
        console.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
