"""The judge of the kill test: it finds nothing in a good run, and each kind of broken promise in a bad one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.kill.checker import Checker, judge
from tests.faults.kill.history import (
    Acked,
    Acted,
    Asked,
    AuditRow,
    Back,
    Begun,
    Disturbed,
    EventRow,
    FixRow,
    Gen,
    Heard,
    JobRow,
    Killed,
    LinkRow,
    MessageRow,
    Opened,
    Paired,
    Record,
    RoundBegun,
    RoundEnded,
    Stored,
    Tapped,
    TapRow,
    TechnicianRow,
    decode,
    encode,
)

NOON = 20_000 * 86_400.0 + 43_200  # UTC at second 0 of the run
STREAM = (20_000 << 20) | 7
ANA, RUI = str(UUID(int=1)), str(UUID(int=2))
PHONE, OTHER_PHONE = str(UUID(int=11)), str(UUID(int=12))
JOB, LINK, CONTACT = str(UUID(int=21)), str(UUID(int=31)), str(UUID(int=41))
BOOKED, ON_THE_WAY = str(UUID(int=51)), str(UUID(int=52))
NUMBER = "+351910000001"
PROMISED = (NOON + 3600, NOON + 7200)


def place(seq: int) -> tuple[float, float]:
    return -8.61, round(41.14 + seq * 1e-5, 6)


def gen(seq: int, at_s: float, device: str = PHONE) -> Gen:
    return Gen(at_s, device, STREAM, seq, f"digest {seq}", NOON + at_s, *place(seq))


def fix_row(seq: int, at_s: float, device: str = PHONE) -> FixRow:
    return FixRow(device, STREAM, seq, f"digest {seq}", NOON + at_s, NOON + at_s, *place(seq), None)


def event(id_: int, kind: str, at_s: float, cause: str = "tap", job: str = JOB, **evidence: Any) -> EventRow:
    return EventRow(id_, job, id_ + 1, kind, NOON + at_s, NOON + at_s, NOON + at_s, {"cause": cause, **evidence})


def audit(id_: int, action: str, from_state: str, to_state: str, technician: str | None, at_s: float) -> AuditRow:
    return AuditRow(id_, JOB, action, from_state, to_state, technician, NOON + at_s)


def message(id_: str, kind: str, occasion: int, settled_s: float) -> MessageRow:
    return MessageRow(
        id_, JOB, kind, occasion, "sms", NUMBER, CONTACT, "sent", "accepted", {}, None, NOON + settled_s, 1, 0
    )  # fmt: skip


def position(at_s: float, seq: int, version: int, number: int = 1) -> Heard:
    return Heard(at_s, "maria", number, "position", 4, version, lon=place(seq)[0], lat=place(seq)[1])


def status(at_s: float, showing: str, versions: tuple[int, int], number: int = 1, **more: Any) -> Heard:
    said = {"technician": "Ana", "words": f"{showing} {versions}", **more}
    return Heard(at_s, "maria", number, "status", *versions, showing=showing, **said)


JOB_ROW = JobRow(
    JOB, ANA, 1, "en_route", "assigned", 4, 1, 1, 1, 0, PROMISED, NOON - 9, NOON + 1, None, None, None, None, "UTC"
)  # fmt: skip
STORED = Stored(
    20.0,
    whole=False,
    fixes=tuple(fix_row(seq, float(seq)) for seq in range(3, 7)),
    taps=(
        TapRow(PHONE, STREAM, 1, "start", "shift_start", NOON - 1, NOON + 1.5, None),
        TapRow(PHONE, STREAM, 2, "go", "en_route", NOON + 1, NOON + 1.5, None),
    ),
    counts=((PHONE, STREAM, 4),),
    technicians=(
        TechnicianRow(ANA, 9, NOON + 6.0, *place(6), (NOON - 1, ())),
        TechnicianRow(RUI, 0, None, None, None, None),
    ),
    jobs=(JOB_ROW,),
    links=(LinkRow(LINK, JOB, CONTACT, NOON - 8, None, None, NOON - 8),),
    events=(
        event(1, "scheduled", -10, "dispatcher"),
        event(2, "assigned", -9, "dispatcher", **{"from": "None", "to": ANA}),
        event(3, "en_route", 1),
    ),
    event_count=3,
    audits=(
        audit(1, "scheduled", "draft", "scheduled", None, -10),
        audit(2, "assigned", "scheduled", "assigned", ANA, -9),
        audit(3, "en_route", "assigned", "en_route", ANA, 1),
    ),
    audit_count=3,
    messages=(message(BOOKED, "booked", 1, -5), message(ON_THE_WAY, "on_the_way", 1, 3)),
    message_count=2,
)
GOOD: tuple[Record, ...] = (
    Begun(0.0, NOON, 42),
    Paired(0.0, PHONE, ANA, "Ana"),
    Paired(0.0, OTHER_PHONE, RUI, "Rui"),
    RoundBegun(0.0, 1),
    Asked(0.0, BOOKED, NUMBER, "you have booked", "good", True),
    Tapped(0.5, PHONE, STREAM, 1, "start", "shift_start", None),
    Opened(0.6, "maria", LINK, 1, 200),
    status(0.7, "scheduled", (3, 0), technician=None),
    Tapped(1.0, PHONE, STREAM, 2, "go", "en_route", JOB),
    status(1.6, "en_route", (4, 1)),
    Acked(1.7, PHONE, STREAM, ((1, 2),), {}),
    Asked(2.5, ON_THE_WAY, NUMBER, "Ana is on the way", "drop", True),
    Asked(2.9, ON_THE_WAY, NUMBER, "Ana is on the way", "good", True),
    gen(3, 3.0),
    gen(4, 4.0),
    status(4.1, "en_route", (4, 2), position=True),
    position(4.1, 4, 2),
    Acked(4.2, PHONE, STREAM, ((3, 4),), {}),
    gen(5, 5.0),
    Killed(5.1, "worker", "sigkill"),
    gen(6, 6.0),
    Back(6.5, "worker", 5.1),
    Opened(6.8, "maria", LINK, 2, 200),
    status(6.9, "en_route", (4, 3), number=2, position=True),
    position(6.9, 6, 3, number=2),
    Acked(7.0, PHONE, STREAM, ((5, 6),), {}),
    RoundEnded(19.0, 1, emptied=True, settled=True),
)


def found(history: Sequence[Record], stored: Stored = STORED, *more: Record) -> set[str]:
    """The invariants that do not hold."""
    checker = judge([*history, stored, *more])
    print(*checker.violations, sep="\n")  # noqa: T201 - for the failure report
    return {violation.invariant for _, violation in checker.violations}


def without(kind: type, **values: Any) -> list[Record]:
    """The good history without some records."""
    return [
        one
        for one in GOOD
        if not (isinstance(one, kind) and all(getattr(one, name) == value for name, value in values.items()))
    ]


def changed(kind: type, values: dict[str, Any], **to: Any) -> list[Record]:
    """The good history with one record changed."""
    return [
        replace(one, **to)
        if isinstance(one, kind) and all(getattr(one, name) == value for name, value in values.items())
        else one
        for one in GOOD
    ]


def then(*more: Record) -> list[Record]:
    """The good history with more in its order, before the end of the round."""
    return [*sorted([*GOOD[:-1], *more], key=lambda one: one.at_s), GOOD[-1]]


def with_rows(**rows: Any) -> Stored:
    return replace(STORED, **rows)


def message_with(**values: Any) -> Stored:
    return with_rows(messages=(STORED.messages[0], STORED.messages[1]._replace(**values)))


def job_with(**values: Any) -> Stored:
    return with_rows(jobs=(JOB_ROW._replace(**values),))


def test_a_good_run_breaks_nothing() -> None:
    """Nor does it when it was written to a file and read again; what recovered is measured."""
    assert found(GOOD) == set()
    checker = judge(decode(encode(record)) for record in (*GOOD, STORED, replace(STORED, at_s=21.0, whole=True)))
    assert checker.violations == []
    assert (checker.fixes.acked, checker.visits.sent) == (6, 2)
    assert checker.recovered_s == [pytest.approx(1.4)]
    assert checker.pages.right_s[0] == pytest.approx(0.4)


BAD: dict[str, tuple[str, Sequence[Record], Stored]] = {
    "an acknowledged fix is not stored": (
        "I1", GOOD, with_rows(fixes=STORED.fixes[1:], counts=((PHONE, STREAM, 3),)),
    ),
    "an acknowledged tap is not stored": ("I1", GOOD, with_rows(taps=STORED.taps[:1])),
    "a fix is stored twice": ("I2", GOOD, with_rows(fixes=(*STORED.fixes, STORED.fixes[0]))),
    "a fix of another round is stored twice": ("I2", GOOD, with_rows(counts=((PHONE, STREAM, 5),))),
    "a fix has another content": (
        "I3", GOOD, with_rows(fixes=(STORED.fixes[0]._replace(digest="another"), *STORED.fixes[1:])),
    ),
    "a phone gives a number twice": ("I3", then(replace(gen(3, 3.5), digest="another")), STORED),
    "a fix was made by nobody": (
        "I4", GOOD, with_rows(fixes=(*STORED.fixes, fix_row(9, 2.5)), counts=((PHONE, STREAM, 5),)),
    ),
    "a fix left its outbox and is nowhere": ("I5", then(gen(7, 5.5)), STORED),
    "a fix is nowhere, and the phones never came to an end": (
        "I5", [*then(gen(7, 5.5))[:-1], RoundEnded(40.0, 1, emptied=False, settled=True)], replace(STORED, at_s=40.0),
    ),
    "a good fix was given up": (
        "I5",
        [*then(gen(7, 5.5)), Acked(19.5, PHONE, STREAM, ((7, 7),), {7: "not_on_shift"}), GOOD[-1]],
        STORED,
    ),
    "an older fix is the position": (
        "I6", GOOD, with_rows(technicians=(TechnicianRow(ANA, 9, NOON + 5.0, *place(5), (NOON - 1, ())),)),
    ),
    "the position is somewhere else": (
        "I6", GOOD, with_rows(technicians=(TechnicianRow(ANA, 9, NOON + 6.0, *place(5), (NOON - 1, ())),)),
    ),
    "a position comes from no fix": (
        "I6",
        GOOD,
        with_rows(technicians=(STORED.technicians[0], TechnicianRow(RUI, 1, NOON + 6.0, *place(8), None))),
    ),
    "versions fall within a stream": ("I7", then(status(4.5, "en_route", (4, 1))), STORED),
    "versions fall from stream to stream": (
        "I7", changed(Heard, {"number": 2}, job_version=2, technician_version=1), STORED,
    ),
    "a stream begins without a snapshot": ("I7", without(Heard, number=2, name="status"), STORED),
    "a page stays behind": ("I7", GOOD, job_with(state="arrived", arrived_epoch_s=NOON + 8)),
    "a page shows an old position": ("I7", without(Heard, number=2, name="position"), STORED),
    "a page ends before its time": ("I7", then(Heard(7.5, "maria", 2, "end")), STORED),
    "a page names the technician before": (
        "I7", changed(Heard, {"number": 2, "name": "status"}, technician=None), STORED,
    ),
    "a page stays open on a dead link": (
        "I7", GOOD, with_rows(links=(STORED.links[0]._replace(revoked_epoch_s=NOON + 9, changed_epoch_s=NOON + 9),)),
    ),
    "nobody was told": ("I8", GOOD, with_rows(messages=STORED.messages[:1], message_count=1)),
    "a message about nothing": (
        "I8",
        [*GOOD, Asked(12.0, ANA, NUMBER, "Ana is at your door", "good", True)],
        with_rows(messages=(*STORED.messages, message(ANA, "arrived", 1, 12)), message_count=3),
    ),
    "a message that was never sent": ("I8", without(Asked, key=ON_THE_WAY), STORED),
    "a message that the gateway did not take": (
        "I8", changed(Asked, {"key": ON_THE_WAY}, taken=False, mood="500"), STORED,
    ),
    "one message under two keys": (
        "I8", then(Asked(5.0, f"{ON_THE_WAY}.1", NUMBER, "Ana is on the way", "good", True)), message_with(resends=1),
    ),
    "a message owed twice": (
        "I8",
        [*GOOD, Asked(12.0, ANA, NUMBER, "Ana is on the way", "good", True)],
        with_rows(messages=(*STORED.messages, message(ANA, "on_the_way", 1, 12)), message_count=3),
    ),
    "a message in other words": ("I8", changed(Asked, {"at_s": 2.9}, text="Rui is on the way"), STORED),
    "a message to somebody else": ("I8", changed(Asked, {"key": BOOKED}, to="+351910000002"), STORED),
    "a message that nobody owes": ("I8", then(Asked(5.0, ANA, NUMBER, "hello", "good", True)), STORED),
    "a message skipped without a reason": (
        "I8", without(Asked, key=ON_THE_WAY), message_with(state="skipped", reason="moved_on"),
    ),
    "a message skipped and shown": ("I8", GOOD, message_with(state="skipped", reason="expired")),
    "a message given up": ("I8", GOOD, message_with(state="failed", reason="gave_up")),
    "a message still owed in the end": (
        "I8", GOOD, replace(message_with(state="owed", reason=None, settled_epoch_s=None), whole=True),
    ),
    "a transition without an event": ("I9", GOOD, job_with(state="arrived")),
    "an event that cannot happen": (
        "I9", GOOD, with_rows(events=(*STORED.events, event(4, "scheduled", 3)), event_count=4),
    ),
    "an event that happened twice": (
        "I9",
        GOOD,
        with_rows(events=(*STORED.events, event(4, "arriving", 3), event(5, "arriving", 3)), event_count=5),
    ),
    "two events of one version": (
        "I9",
        GOOD,
        with_rows(events=(*STORED.events, event(4, "arriving", 3)._replace(version=4)), event_count=4),
    ),
    "an event that is gone": ("I9", GOOD, with_rows(event_count=2)),
    "a transition without an audit row": ("I9", GOOD, with_rows(audits=STORED.audits[:2], audit_count=2)),
    "an audit row too many": (
        "I9", GOOD, with_rows(audits=(*STORED.audits, STORED.audits[2]._replace(id=4)), audit_count=4),
    ),
    "an audit row that is gone": ("I9", GOOD, with_rows(audit_count=2)),
    "an answered action that was not done": ("I9", then(Acted(8.0, 8.1, "assign", JOB, RUI, version=5)), STORED),
    "a revoked link that opens": ("I9", then(Acted(8.0, 8.1, "revoke", JOB, link=LINK, version=4)), STORED),
    "a position after the link was revoked": (
        "I10",
        then(position(15.0, 6, 3, number=2), Heard(16.0, "maria", 2, "end")),
        with_rows(links=(STORED.links[0]._replace(revoked_epoch_s=NOON + 9, changed_epoch_s=NOON + 9),)),
    ),
    "a status after the link expired": (
        "I10",
        then(status(15.0, "en_route", (4, 3), number=2, position=True), Heard(16.0, "maria", 2, "end")),
        with_rows(links=(STORED.links[0]._replace(expires_epoch_s=NOON + 9),)),
    ),
    "a position of another technician": (
        "I10",
        then(gen(8, 3.0, OTHER_PHONE), position(4.15, 8, 2)),
        with_rows(
            fixes=(*STORED.fixes, fix_row(8, 3.0, OTHER_PHONE)),
            counts=(*STORED.counts, (OTHER_PHONE, STREAM, 1)),
        ),
    ),
    "a position that nobody stored": ("I10", then(position(4.15, 400, 2)), STORED),
    "a position before the drive": (
        "I10",
        then(status(0.8, "en_route", (3, 0), position=True), position(0.8, 3, 0)),
        STORED,
    ),
    "a position from before the drive": (
        "I10",
        then(gen(7, -2.0), position(4.15, 7, 2)),
        with_rows(fixes=(*STORED.fixes, fix_row(7, -2.0)), counts=((PHONE, STREAM, 5),)),
    ),
    "a technician who was never sent is named": ("I10", changed(Heard, {"at_s": 1.6}, technician="Rui"), STORED),
    "a victim that comes back late": ("I11", changed(Back, {}, at_s=35.2), STORED),
    "a victim that does not come back": ("I11", without(Back), STORED),
    "outboxes that are not empty": ("I11", changed(RoundEnded, {}, emptied=False), STORED),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_broken_promise_is_found(what: str) -> None:
    """Each in a history that differs from the good one in this alone."""
    invariant, history, stored = BAD[what]
    assert invariant in found(history, stored)


def test_what_is_rightly_skipped_is_no_violation() -> None:
    """Overtaken by the visit, as the rules say of the job as it was then; shown all the same, when nobody knew."""
    stored = replace(
        STORED,
        jobs=(JOB_ROW._replace(state="arrived", previous_state="en_route", version=5, arrived_epoch_s=NOON + 2),),
        events=(*STORED.events, event(4, "arrived", 2)),
        event_count=4,
        audits=(*STORED.audits, audit(4, "arrived", "en_route", "arrived", ANA, 2)),
        audit_count=4,
        messages=(
            STORED.messages[0],
            STORED.messages[1]._replace(state="skipped", reason="moved_on"),
            message(ANA, "arrived", 1, 5),
        ),
        message_count=3,
    )
    history = [*without(Asked, key=ON_THE_WAY), Asked(19.2, ANA, NUMBER, "Ana is at your door", "good", True)]
    history = [one for one in history if not (isinstance(one, Heard) and one.at_s > 2)]
    history += [status(19.3, "arrived", (5, 3), number=2)]
    assert found(history, stored) == set()
    maybe = stored.messages[1]._replace(about={"maybe_sent": True})
    stored = replace(stored, messages=(stored.messages[0], maybe, stored.messages[2]))
    history.append(Asked(19.4, ON_THE_WAY, NUMBER, "Ana is on the way", "drop", True))
    assert found(history, stored) == set()


def test_what_was_on_its_way_when_it_was_forbidden_is_no_violation() -> None:
    """For five seconds, as after a kill the store is only looked at every three; those above one second are counted.
    And for as long as a proxy held it."""
    links = (STORED.links[0]._replace(revoked_epoch_s=NOON + 13, changed_epoch_s=NOON + 13),)
    end = Heard(18.9, "maria", 2, "end")

    def heard_at(at_s: float, *more: Record) -> set[str]:
        return found(then(position(at_s, 6, 3, number=2), end, *more), with_rows(links=links))

    assert heard_at(17.9) == set()
    assert heard_at(18.5) == {"I10"}
    assert heard_at(18.5, Killed(14.2, "redis", "sigkill"), Back(14.4, "redis", 14.2)) == set()
    assert heard_at(18.8, Disturbed(13.2, 18.5, "the app's proxy is slow")) == set()
    assert heard_at(18.8, Disturbed(10.2, 12.5, "the app's proxy is slow")) == {"I10"}
    revoked = with_rows(links=links)
    for at_s, late in ((13.9, 0), (14.5, 1)):
        assert judge([*then(position(at_s, 6, 3, number=2), end), revoked]).pages.late == late


def test_a_page_is_right_by_the_store_as_it_is() -> None:
    """While the harness waits for pages, it is told which are behind, and why."""
    checker = Checker()
    for record in GOOD:
        checker.take(record)
    assert checker.wrong_pages(STORED) == {}
    behind = checker.wrong_pages(job_with(state="arrived", arrived_epoch_s=NOON + 8))
    assert "shows en_route" in behind["maria"]
    ended = with_rows(links=(STORED.links[0]._replace(expires_epoch_s=NOON + 19),))
    assert checker.wrong_pages(ended) == {}, "nothing was told to it since"
    assert "is open" in checker.wrong_pages(replace(ended, at_s=40.0))["maria"]
    resting = TechnicianRow(ANA, 9, NOON + 6.0, *place(6), (NOON - 1, ((NOON + 7, None),)))
    assert "not None" in checker.wrong_pages(with_rows(technicians=(resting,)))["maria"]


def test_what_is_told_when_the_round_is_over_is_of_the_next_one() -> None:
    """A tap that was on its way to the phone, and was stored after the store was read."""
    late = Tapped(19.5, PHONE, STREAM, 7, "late", "break_start", None)
    stored = replace(STORED, at_s=19.6)
    history = [*GOOD, late, stored, Acked(19.7, PHONE, STREAM, ((7, 7),), {}), RoundEnded(21.0, 2, True, True)]
    row = TapRow(PHONE, STREAM, 7, "late", "break_start", NOON + 19.5, NOON + 19.6, None)
    nothing_new = replace(stored, fixes=(), taps=(), events=(), audits=(), messages=(), at_s=22.0)
    assert found([*GOOD, late, Acked(19.7, PHONE, STREAM, ((7, 7),), {})], stored) == set()
    assert found(history, replace(nothing_new, taps=(row,))) == set()
    assert found(history, nothing_new) == {"I1"}
    end = Heard(STORED.at_s + 9.0, "maria", 2, "end")  # a long reading: the link ended meanwhile
    assert found([*GOOD, end]) == set()
    assert found([*GOOD, replace(end, at_s=STORED.at_s - 0.1)]) == {"I7"}


def test_a_wrong_clock_leaves_a_position_unsure_of_its_time() -> None:
    """Sent again, a fix has another time, but no other place."""
    skewed = with_rows(
        fixes=(*STORED.fixes[:3], STORED.fixes[3]._replace(skew_s=240.0)),
        technicians=(TechnicianRow(ANA, 9, NOON + 6.04, *place(6), (NOON - 1, ())),),
    )
    assert found(GOOD, skewed) == set()
    assert found(GOOD, replace(skewed, fixes=STORED.fixes)) == {"I6"}
    assert "I6" in found(GOOD, replace(skewed, technicians=(skewed.technicians[0]._replace(lon=-8.7),)))


@settings(deadline=None)
@given(st.data())
def test_rounds_are_judged_one_by_one_as_they_would_be_at_once(data: st.DataObject) -> None:
    """However the rows fall into rounds: each is looked at once, and a loss of an earlier round is found."""
    seqs = list(range(3, 3 + data.draw(st.integers(1, 20))))
    cuts = sorted(data.draw(st.lists(st.sampled_from(seqs), max_size=3)))
    lost = data.draw(st.none() | st.sampled_from(seqs))
    history: list[Record] = [*GOOD[:3], *(gen(seq, float(seq)) for seq in (1, 2, *seqs))]
    rows = [fix_row(seq, float(seq)) for seq in (1, 2, *seqs)]
    read = 0
    for cut in (*cuts, seqs[-1]):
        new = [row for row in rows[read:] if row.seq <= cut]
        read += len(new)
        known = rows[read - 1]
        technician = TechnicianRow(ANA, 9, known.time_epoch_s, known.lon, known.lat, None)
        ended = RoundEnded(20.0, 1, emptied=cut == seqs[-1], settled=True)
        counts = ((PHONE, STREAM, read),)
        history += [ended, Stored(20.0, False, technicians=(technician,), fixes=tuple(new), counts=counts)]
    found = {violation.invariant for _, violation in judge(history).violations}
    assert found == ({"I11"} if cuts and cuts[0] != seqs[-1] else set())
    if lost is not None:
        left = tuple(row for row in rows if row.seq != lost)
        history.append(Stored(21.0, False, technicians=(technician,), counts=((PHONE, STREAM, read - 1),)))
        assert "I1" in {violation.invariant for _, violation in judge(history).violations}
        history[-1] = Stored(21.0, True, technicians=(technician,), fixes=left, counts=((PHONE, STREAM, read - 1),))
        assert "I1" in {violation.invariant for _, violation in judge(history).violations}
