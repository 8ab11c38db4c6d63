"""What happened at the demo's firm before the newcomer came: visits booked and assigned, streets ridden, work done.

The phones tell it all at once when the demo starts, with the times at which it happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from math import inf

from sqlalchemy.ext.asyncio import AsyncEngine

from tech_app.core.tap import TapKind
from tracking_server.demo import cast
from tracking_server.demo.cast import Person
from tracking_server.demo.drive import Ride, ride
from tracking_server.demo.firm import (
    HOUR_S,
    MINUTE_S,
    Firm,
    Visit,
    book,
    call_off,
    revoked_link,
    write_note,
    write_summary,
)
from tracking_server.demo.rider import Rider
from tracking_server.demo.ways import Ways
from tracking_server.routing.valhalla import LonLat
from tracking_server.store.engine import transaction

PAST_EVERY_S = 15.0  # a fix of the past, on the way
STANDING_EVERY_S = 60.0
ARRIVES_IN_S = 100.0  # David is at the door so long after the start


@dataclass(frozen=True, slots=True)
class Plan:
    """Doors, by their numbers: who rides from where to where, and the doors of all others."""

    elena: tuple[int, int]
    david: tuple[int, int]
    others: tuple[int, ...]


def plan(ways: Ways) -> Plan:
    """The longest way for Elena, who sets off as the demo begins."""

    def longest(doors: list[int]) -> tuple[int, int]:
        return max(permutations(doors, 2), key=lambda pair: ways.ride_s(*pair))

    doors = list(range(len(ways.doors)))
    elena = longest(doors)
    david = longest([door for door in doors if door not in elena])
    return Plan(elena, david, tuple(door for door in doors if door not in elena + david))


async def book_visits(engine: AsyncEngine, firm: Firm, ways: Ways, now_s: float) -> dict[str, Visit]:
    """The visits, by the state of the page that each is for."""
    where = plan(ways)
    elena, david, henrik = firm.technicians
    # state: the door, the technicians one after the other, the promised window in minutes from now
    visits = {}
    for state, door, technicians, promised in (
        ("completed", where.elena[0], [elena], (-120, -60)),
        ("en_route", where.elena[1], [elena], (-20, 40)),
        ("today", where.others[0], [elena], (10, 70)),
        ("reassigned", where.others[1], [henrik, elena], (40, 100)),
        ("no_access", where.david[0], [david], (-90, -30)),
        ("arriving", where.david[1], [david], (-30, 30)),
        ("delayed", where.others[2], [david], (-75, -15)),
        ("in_progress", where.others[3], [henrik], (-60, 0)),
        ("scheduled", where.others[0], [david], (24 * 60, 26 * 60)),
        ("cancelled", where.others[1], [henrik], (30, 90)),
    ):
        window = (now_s + promised[0] * MINUTE_S, now_s + promised[1] * MINUTE_S)
        async with transaction(engine, firm.organisation_id) as connection:
            visits[state] = await book(
                connection, firm, cast.CUSTOMERS[state], ways.doors[door], technicians, window,
                booked_s=now_s - 20 * HOUR_S, assigned_s=now_s - 4 * HOUR_S,
            )  # fmt: skip
    await call_off(engine, firm, visits["cancelled"], cast.CANCELLED_BECAUSE, now_s - HOUR_S)
    visits["expired"] = await revoked_link(engine, firm, visits["cancelled"], now_s)
    for state, text in cast.NOTES.items():
        await write_note(engine, firm, visits[state], text, now_s - 12 * MINUTE_S)
    await write_summary(engine, firm, visits["completed"].job_id, cast.SUMMARY)
    return visits


@dataclass(frozen=True, slots=True)
class Begun:
    """A ride that goes on: it began at `start_s`."""

    ride: Ride
    start_s: float


async def tell_morning(
    ways: Ways, visits: Mapping[str, Visit], riders: Mapping[Person, Rider], now_s: float
) -> dict[Person, Begun]:
    """Let the phones tell what happened until now; returns the rides that go on, by the rider."""
    where = plan(ways)
    elena, david, henrik = (riders[person] for person in cast.PEOPLE)

    def at(minutes: float) -> float:
        return now_s + minutes * MINUTE_S

    def door(number: int) -> LonLat:
        return ways.doors[number]

    async def come_from(rider: Rider, start: int, end: int, arrives_s: float, visit: Visit) -> None:
        way = ride(ways.between(start, end), end, every_s=PAST_EVERY_S)
        await rider.follow(way, arrives_s - way.arrives_s, visit.job_id)

    async def stand(rider: Rider, number: int, from_s: float, until_s: float) -> None:
        await rider.follow(ride([door(number)], number, dwell_s=until_s - from_s, every_s=STANDING_EVERY_S), from_s)

    await elena.tap(TapKind.shift_start, at_s=at(-150))
    await come_from(elena, where.others[0], where.elena[0], at(-95), visits["completed"])
    await elena.tap(TapKind.start, visits["completed"].job_id, at(-90))
    await stand(elena, where.elena[0], at(-89), at(-41))
    await elena.tap(TapKind.done, visits["completed"].job_id, at(-40))
    await stand(elena, where.elena[0], at(-39), at(0) - 1)
    await elena.tap(TapKind.en_route, visits["en_route"].job_id, now_s)

    await david.tap(TapKind.shift_start, at_s=at(-140))
    await come_from(david, where.others[2], where.david[0], at(-62), visits["no_access"])
    await david.tap(TapKind.no_access, visits["no_access"].job_id, at(-50))
    way = ride(ways.between(*where.david), 7)
    begun = Begun(way, now_s - max(0.0, way.arrives_s - ARRIVES_IN_S))
    await stand(david, where.david[0], at(-49), begun.start_s - 2)
    passed_s = now_s - begun.start_s
    passed = ride(ways.between(*where.david), 7, every_s=PAST_EVERY_S).between(0, passed_s)
    await david.follow(passed, begun.start_s, visits["arriving"].job_id)

    await henrik.tap(TapKind.shift_start, at_s=at(-130))
    await come_from(henrik, where.elena[1], where.others[3], at(-30), visits["in_progress"])
    await henrik.tap(TapKind.start, visits["in_progress"].job_id, at(-25))
    await stand(henrik, where.others[3], at(-24), at(0) - 1)
    return {
        cast.ELENA: Begun(ride(ways.between(*where.elena), 3), now_s),
        cast.DAVID: Begun(way.between(passed_s, inf), begun.start_s),
    }
