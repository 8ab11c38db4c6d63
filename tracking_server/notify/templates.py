"""A firm's own words: templates that may name facts and do nothing else, in a sandbox.

`{{ name }}` puts a fact; there are no loops, no conditions, no attributes, no filters. A fact is data: it is never read
as a template. What is wrong with a template is said when it is written, and again in the log of the messages that did
without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError, nodes
from jinja2 import Template as Compiled
from jinja2.exceptions import SecurityError
from jinja2.sandbox import SandboxedEnvironment

FACTS = frozenset({"firm", "phone", "name", "day", "earliest", "latest", "time", "title", "link"})
LONGEST = {"sms": 320, "subject": 120, "body": 4_000}  # letters of the template
LONGEST_MADE = 2  # times the longest template: facts are short
LINKS = re.compile(r"://|www\.|[a-z0-9-]\.[a-z]{2,}", re.IGNORECASE)  # what a phone would make a link of
ALLOWED = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name)
_environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


class BadTemplate(ValueError):
    """A firm's template cannot be used; the text says why."""


def check(part: str, text: str) -> None:
    """Raises `BadTemplate` unless this can be a firm's `sms`, `subject` or `body`."""
    if part not in LONGEST:
        raise BadTemplate(f"a template has {', '.join(LONGEST)}; not {part}")
    if not text.strip():
        raise BadTemplate("it is empty")
    if len(text) > LONGEST[part]:
        raise BadTemplate(f"it is longer than {LONGEST[part]} letters")
    if part == "subject" and len(text.splitlines()) > 1:
        raise BadTemplate("a subject is one line")
    if any((c < " " and c not in "\n\t") or c == "\x7f" for c in text):
        raise BadTemplate("it holds control characters")
    if "{%" in text:
        raise BadTemplate("only facts as {{ name }}, nothing in {% %}")
    try:
        parsed = _environment.parse(text)
    except TemplateSyntaxError as error:
        raise BadTemplate(f"line {error.lineno}: {error.message}") from None
    for node in [parsed, *parsed.find_all(nodes.Node)]:
        if not isinstance(node, ALLOWED):
            raise BadTemplate(f"only facts as {{{{ name }}}}, no {type(node).__name__.lower()}")
        if isinstance(node, nodes.Name) and node.name not in FACTS:
            raise BadTemplate(f"there is no fact {node.name}; there is {', '.join(sorted(FACTS))}")
    said = _without_remarks(parsed)
    if not said.strip():
        raise BadTemplate("it is empty")
    if part == "sms" and LINKS.search(said):
        raise BadTemplate("the only link in an SMS is {{ link }}")


def _without_remarks(parsed: nodes.Template) -> str:
    """What is left of a template once {# remarks #} are gone: its text, with a bracket in the place of each fact."""
    return "".join(
        node.data if isinstance(node, nodes.TemplateData) else "}"
        for node in parsed.find_all((nodes.TemplateData, nodes.Name))
    )


def render(part: str, text: str, facts: Mapping[str, str]) -> str:
    """The firm's words with the facts in their places. Raises `BadTemplate`, also for a fact that is not known."""
    try:
        made = _compiled(part, text).render(facts)
    except UndefinedError as error:
        raise BadTemplate(f"not known for this visit: {error.message}") from None
    except SecurityError:
        raise BadTemplate("it does what a template may not do") from None
    if len(made) > LONGEST[part] * LONGEST_MADE:
        raise BadTemplate("it becomes too long")
    return made.strip()


@lru_cache(maxsize=256)
def _compiled(part: str, text: str) -> Compiled:
    check(part, text)
    return _environment.from_string(text)
