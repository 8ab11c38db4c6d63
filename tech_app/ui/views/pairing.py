"""Making a phone a technician's, and what they are told before it follows them."""

from __future__ import annotations

from dataclasses import dataclass

from tech_app.core.outbox import Facts
from tech_app.core.session import Invitation, Refused, Session, Why
from tech_app.ui.words import _, ngettext


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before a code is used."""

    title: str
    text: str
    warning: str


def question(invitation: Invitation) -> Question:
    """The host is what the technician can compare with what the office told them."""
    warning = ""
    if invitation.warning:
        warning = _("This address is not encrypted. Go on only in the firm's own network, to try things out.")
    return Question(
        _("Connect to %(host)s?") % {"host": invitation.host},
        _("Is this the address that your office gave you? This phone will get its visits from there."),
        warning,
    )


def held(session: Session, facts: Facts) -> str:
    """What is said before a phone that still has to send something is connected anew."""
    if not facts.taps + facts.files + facts.fixes:
        return ""
    words = _(
        "This phone belongs to %(who)s. What it has not sent yet is sent only when the code is for the same technician."
    )
    return words % {"who": session.name or session.url.partition("://")[2]}


def refusal(refused: Refused) -> str:
    """Why a phone cannot be paired, in the technician's language."""
    return {
        Why.address: _("This is no address of a service. Ask the office for it; it begins with https://"),
        Why.unsafe: _("This address is not safe: it has to begin with https://"),
        Why.code: _("The code is not whole. Look at it again, or ask the office for a new one."),
        Why.used: _("This code is unknown, used, or older than ten minutes. Ask the office for a new one."),
        Why.unproved: _("This address cannot prove who it is. Do not go on, and tell the office."),
        Why.away: _("There is no answer. Check the address and the connection of this phone, then try again."),
        Why.stranger: _("There is no Doorstep at this address. Ask the office for the right one."),
        Why.later: _("Too many tries. Wait a few minutes, then try again."),
    }[refused.why]


def notice() -> tuple[tuple[str, str], ...]:
    """The privacy notice: headings and paragraphs."""
    return (
        (
            _("What is recorded"),
            _(
                "While you are on shift: where this phone is, how fast it moves, its battery, and what you tap. "
                "Your photos, signatures and notes."
            ),
        ),
        (
            _("When"),
            _(
                "Only from “Start shift” to “End shift”. Nothing is recorded on a break or off shift: "
                "the GPS is off then."
            ),
        ),
        (
            _("Who sees it"),
            _(
                "Your office, while you are on shift. A customer, only while you are on the way to them and they are "
                "next. The home screen always says who can see you now."
            ),
        ),
        (
            _("For how long"),
            _(
                "Positions are deleted after 30 days, or when your firm says so, at most 60. The evidence of an "
                "arrival is kept for a year."
            ),
        ),
        (
            _("Not for"),
            _("There are no reports of speed and no scores of your driving. You can ask who looked at your history."),
        ),
    )


def unpair_question(facts: Facts) -> str:
    """What is asked before a phone forgets its technician."""
    waiting = facts.taps + facts.files + facts.fixes
    if not waiting:
        return _("This phone then belongs to nobody. Everything is sent. To use it again, ask the office for a code.")
    lost = ngettext(
        "%(count)s thing is not sent yet and will be lost for the office. Better wait for a connection.",
        "%(count)s things are not sent yet and will be lost for the office. Better wait for a connection.",
        waiting,
    )
    return lost % {"count": waiting}
