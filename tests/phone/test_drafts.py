"""Photos and signatures before they are sent: kept, thrown away, replaced, handed over once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tech_app.core.drafts import KEEP_S, MEMORY, Drafts
from tech_app.core.jobs import Proof
from tech_app.core.outbox import NoRoom, Outbox
from tests.support.phone_clock import NOON_S, SetPhoneClock


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
    other = drafts.add("b", Proof.photo, b"4", NOON_S)
    drafts.remove(photos[1])
    first = drafts.add("a", Proof.signature, b"x", NOON_S)
    second = drafts.add("a", Proof.signature, b"y", NOON_S)
    assert not drafts.path(first).exists()
    assert queue.pending_files() == []
    drafts.hand_over("a")
    assert [file.id for file in queue.pending_files()] == [photos[0].id, photos[2].id, second.id]
    assert drafts.pictures("a") == {Proof.photo: 2, Proof.signature: 1}
    assert drafts.of("b") == (other,)


def test_what_was_handed_over_stays(drafts: Drafts, queue: Outbox, tmp_path: Path) -> None:
    """Undone and done again: it is not queued twice, nor thrown away, and counts as given when it was sent, too."""
    drafts.add("a", Proof.photo, b"1", NOON_S)
    drafts.hand_over("a")
    (draft,) = drafts.of("a")
    drafts.remove(draft)
    Drafts(queue, tmp_path / "drafts")
    (file,) = queue.pending_files()
    assert (file.kind, file.path.read_bytes()) == ("photo", b"1")
    file.path.unlink()
    queue.forget_file(file.id)
    again = Drafts(queue, tmp_path / "drafts")
    assert again.pictures("a") == {Proof.photo: 1}
    again.hand_over("a")
    assert queue.pending_files() == []


def test_a_death_while_handing_over_does_no_harm(drafts: Drafts, queue: Outbox, tmp_path: Path) -> None:
    """Queued, and still remembered as a draft: the same picture under the same number, once."""
    drafts.add("a", Proof.photo, b"1", NOON_S)
    remembered = queue.recall(MEMORY)
    drafts.hand_over("a")
    queue.remember({MEMORY: remembered or ""})
    again = Drafts(queue, tmp_path / "drafts")
    (draft,) = again.of("a")
    assert draft.queued, "it can be sent, and gone from the disk, at any moment"
    again.hand_over("a")
    assert len(queue.pending_files()) == 1


def test_a_visit_that_went_to_somebody_else_keeps_its_pictures_for_three_days(drafts: Drafts) -> None:
    """Then they go from the disk too."""
    kept = drafts.add("a", Proof.photo, b"1", NOON_S)
    drafts.clear([], NOON_S + KEEP_S - 1)
    drafts.clear(["a"], NOON_S + KEEP_S)
    assert drafts.path(kept).exists()
    drafts.clear([], NOON_S + KEEP_S)
    assert drafts.of("a") == ()
    assert not drafts.path(kept).exists()


def test_a_full_phone_says_so(drafts: Drafts, tmp_path: Path) -> None:
    """And leaves no half of a picture."""
    (tmp_path / "drafts").rmdir()
    with pytest.raises(NoRoom):
        drafts.add("a", Proof.photo, b"1", NOON_S)
    assert drafts.of("a") == ()
