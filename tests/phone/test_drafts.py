"""Photos and signatures before they are sent: kept, thrown away, replaced, handed over once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tech_app.core.drafts import KEEP_S, Drafts
from tech_app.core.jobs import Job, Proof, State
from tech_app.core.outbox import NoRoom, Outbox
from tests.support.phone_clock import NOON_S, SetPhoneClock

JOB = Job("a", State.in_progress, 1, 41.0, -8.0)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Outbox]:
    queue = Outbox(tmp_path / "outbox.db", SetPhoneClock())
    yield queue
    queue.close()


@pytest.fixture
def drafts(queue: Outbox, tmp_path: Path) -> Drafts:
    return Drafts(queue, tmp_path / "drafts")


def test_a_picture_is_there_after_a_restart(drafts: Drafts, queue: Outbox, tmp_path: Path) -> None:
    """With its bytes; one that was never finished is not."""
    kept = drafts.add("a", Proof.photo, b"one", NOON_S)
    (tmp_path / "drafts" / "half.jpg").write_bytes(b"h")
    again = Drafts(queue, tmp_path / "drafts")
    assert again.of("a") == (kept,)
    assert again.path(kept).read_bytes() == b"one"
    assert [path.name for path in (tmp_path / "drafts").iterdir()] == [kept.name]


def test_what_is_thrown_away_is_never_sent(drafts: Drafts, queue: Outbox) -> None:
    """Of three photos one is bad; of two signatures the first."""
    photos = [drafts.add("a", Proof.photo, data, NOON_S) for data in (b"1", b"2", b"3")]
    drafts.remove(photos[1])
    first = drafts.add("a", Proof.signature, b"x", NOON_S)
    second = drafts.add("a", Proof.signature, b"y", NOON_S)
    assert not drafts.path(first).exists()
    assert not drafts.hand_over([JOB], NOON_S)
    assert drafts.hand_over([replace(JOB, state=State.completed)], NOON_S)
    assert [file.id for file in queue.pending_files()] == [photos[0].id, photos[2].id, second.id]
    assert drafts.given("a") == {Proof.photo, Proof.signature}


def test_what_was_handed_over_stays(drafts: Drafts, queue: Outbox, tmp_path: Path) -> None:
    """Undone and done again: the photo is not sent twice, nor thrown away, and counts as given."""
    done = replace(JOB, state=State.completed)
    drafts.add("a", Proof.photo, b"1", NOON_S)
    drafts.hand_over([done], NOON_S)
    (queued,) = drafts.of("a")
    drafts.remove(queued)
    assert not drafts.hand_over([done], NOON_S)
    queue.forget_file(queued.id)
    again = Drafts(queue, tmp_path / "drafts")
    assert again.given("a") == {Proof.photo}
    assert not again.hand_over([done], NOON_S)
    assert queue.pending_files() == []


def test_a_visit_that_went_to_somebody_else_keeps_its_pictures_for_three_days(drafts: Drafts) -> None:
    """Then they go from the disk too."""
    kept = drafts.add("a", Proof.photo, b"1", NOON_S)
    drafts.hand_over([], NOON_S + KEEP_S - 1)
    assert drafts.path(kept).exists()
    drafts.hand_over([], NOON_S + KEEP_S)
    assert drafts.of("a") == ()
    assert not drafts.path(kept).exists()


def test_a_full_phone_says_so(drafts: Drafts, tmp_path: Path) -> None:
    """And leaves no half of a picture."""
    (tmp_path / "drafts").rmdir()
    with pytest.raises(NoRoom):
        drafts.add("a", Proof.photo, b"1", NOON_S)
    assert drafts.of("a") == ()
