"""What is refused before memory grows, and to whom."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from tracking_server import group_commit
from tracking_server.group_commit import Acknowledgement, Care, GroupCommit
from tracking_server.ingest import room
from tracking_server.ingest.room import MOST_BYTES, MOST_OF_ONE_PHONE, Room, come_again_s
from tracking_server.store.devices import Device
from tracking_server.store.engine import Unavailable
from tracking_server.turn import Delivery


def test_a_phone_has_a_few_places_and_no_more() -> None:
    """Another phone has its own, and one that is left is free again."""
    held, phone = Room(), uuid4()
    places = [held.place(phone) for _ in range(MOST_OF_ONE_PHONE)]
    for place in places:
        place.__enter__()
    with pytest.raises(Unavailable, match="too much at a time"), held.place(phone):
        pass
    with held.place(uuid4()):
        pass
    places[0].__exit__(None, None, None)
    with held.place(phone):
        pass


def test_bytes_count_from_the_first_to_the_last() -> None:
    """What does not fit is refused, and what was held of it counts no more."""
    held = Room()
    with held.place(uuid4()) as first:
        first.take(MOST_BYTES)
        with pytest.raises(Unavailable, match="too much is being sent"), held.place(uuid4()) as second:
            second.take(1)
        first.empty()
        with held.place(uuid4()) as second:
            second.take(MOST_BYTES)
    assert held.held_bytes == 0


def test_phones_that_are_refused_come_again_at_different_times() -> None:
    """Whole seconds over a spread of several."""
    told = {come_again_s() for _ in range(500)}
    assert told == set(range(room.SOONEST_AGAIN_S, room.LATEST_AGAIN_S + 1))


async def test_one_firm_s_flood_leaves_room_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing can be written, and again once it can."""
    monkeypatch.setattr(group_commit, "MOST_OF_ONE_FIRM", 5)
    free = asyncio.Event()

    async def flush(deliveries: Sequence[Delivery], _: Care) -> list[Acknowledgement]:
        await free.wait()
        return [Acknowledgement((), {}) for _ in deliveries]

    commits = GroupCommit(flush, flushers=1)
    running = asyncio.create_task(commits.run())
    flooding, other = uuid4(), uuid4()
    first = asyncio.create_task(commits.submit(_delivery(flooding)))
    await asyncio.sleep(0.01)  # the flusher has it
    waiting = [asyncio.create_task(commits.submit(_delivery(flooding))) for _ in range(20)]
    waiting.append(asyncio.create_task(commits.submit(_delivery(other))))
    await asyncio.sleep(0.01)
    refused = [task for task in waiting if task.done()]
    assert len(refused) == 14
    assert waiting[-1] not in refused
    free.set()
    answers = await asyncio.gather(first, *waiting, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Acknowledgement, Unavailable}
    await commits.submit(_delivery(flooding))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def _delivery(organisation_id: UUID) -> Delivery:
    return Delivery(Device(uuid4(), organisation_id, uuid4()), 1, None, 0.0)
