"""A firm's own words can name facts and do nothing else."""

from __future__ import annotations

import pytest

from tracking_server.notify.templates import FACTS, LONGEST, BadTemplate, check, render

KNOWN = {fact: f"<{fact}>" for fact in FACTS}


@pytest.mark.parametrize(
    "text",
    [
        "{{ 7*7 }}",
        "{{ ''.__class__ }}",
        "{{ name.__class__.__mro__ }}",
        "{{ name['x'] }}",
        "{{ name|upper }}",
        "{{ name() }}",
        "{{ name ~ firm }}",
        "{{ name if name else firm }}",
        "{% for x in name %}{{ x }}{% endfor %}",
        "{% if name %}x{% endif %}",
        "{% set x = 1 %}",
        "{% include 'page.html' %}",
        "{% macro m() %}{% endmacro %}",
        "{{ self }}",
        "{{ config }}",
        "{{ nobody }}",
        "{{ name",
        "{{ }}",
        "{% raw %}",
        "",
        "   ",
        "x\x00",
        "x\x1b[31m",
        "x" * (LONGEST["sms"] + 1),
        "Pay at https://evil.example",
        "Pay at www.evil.example",
        "Pay at evil.com/now",
        "Pay at evil.com",
        "Pay at evil{# #}.com",
        "{# nothing #}",
    ],
)
def test_what_is_more_than_facts_is_refused(text: str) -> None:
    """Attributes, filters, loops, calls, arithmetic, unknown names, links, controls, and what is too long."""
    with pytest.raises(BadTemplate):
        check("sms", text)
    with pytest.raises(BadTemplate):
        render("sms", text, KNOWN)


@pytest.mark.parametrize("text", ["%s %(name)s", "${name}", "{name}", "100 % sure", "{# a remark #}{{ name }}"])
def test_other_languages_of_templates_are_plain_text(text: str) -> None:
    """They mean nothing here, and stay as they are."""
    assert render("sms", text, KNOWN) == text.replace("{# a remark #}{{ name }}", "<name>")


def test_a_fact_is_never_read_as_a_template() -> None:
    """A customer who is called {{ 7*7 }} is called {{ 7*7 }}."""
    assert render("sms", "{{ name }} comes", KNOWN | {"name": "{{ 7*7 }}{% for %}"}) == "{{ 7*7 }}{% for %} comes"


def test_every_fact_can_be_named() -> None:
    """As the page's words say it."""
    text = " ".join(f"{{{{ {fact} }}}}" for fact in sorted(FACTS))
    assert render("body", text, KNOWN) == " ".join(f"<{fact}>" for fact in sorted(FACTS))


def test_a_fact_that_is_not_known_yet_says_so() -> None:
    """Rather than leave a gap in a sentence."""
    with pytest.raises(BadTemplate, match="not known for this visit"):
        render("sms", "between {{ earliest }} and {{ latest }}", {"name": "Ana"})


def test_a_subject_is_one_line() -> None:
    """No header is made by it."""
    with pytest.raises(BadTemplate):
        check("subject", "Hello\nBcc: everybody@example.com")
    with pytest.raises(BadTemplate):
        check("headers", "x")
