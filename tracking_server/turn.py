"""One technician's turn in a transaction: their deliveries judged, what to store, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from uuid import UUID

from tracking_server.domain.assess import Assessment, assess
from tracking_server.domain.checkpoint import Checkpoint, Stretch, Suspect, forget_what_is_to_come, receive
from tracking_server.domain.eta import Correction
from tracking_server.domain.events import SHIFT_TAPS, Tap, TapVerdict
from tracking_server.domain.fix import QUARANTINE_TABLE, Fix, Judgement, Verdict, judge, skew_s
from tracking_server.domain.job import is_remembered
from tracking_server.domain.shift import Shift, after_taps
from tracking_server.store.devices import Device
from tracking_server.store.fixes import FixRows, Rejected, TapReceipt
from tracking_server.store.memory import Technician

NOT_IN_TABLE = QUARANTINE_TABLE | {Verdict.not_on_shift}
OLDEST_TAP_S = 4 * 86_400.0  # a phone keeps three days; an older tap comes from a clock that nobody can correct


class Delivery(NamedTuple):
    """One request of one phone: a piece of one stream. Times in `fixes` and `taps` are still the phone's own."""

    device: Device
    stream: int
    sent_s: float | None
    received_s: float
    fixes: Sequence[Fix] = ()
    taps: Sequence[Tap] = ()
    rejected: Sequence[Rejected] = ()

    @property
    def skew_s(self) -> float:
        return skew_s(self.sent_s, self.received_s)

    def taps_on_our_clock(self) -> list[Tap]:
        """The taps with corrected times; none is made after its receipt, whatever the phone's clock says."""
        if not self.taps:
            return []
        return [replace(tap, time_s=min(tap.time_s + self.skew_s, self.received_s)) for tap in self.taps]

    @property
    def weight(self) -> int:
        """How much this holds in memory while it waits, counted in fixes of about a kilobyte."""
        rejected = sum([1 + len(item.body) // 1000 for item in self.rejected]) if self.rejected else 0
        return 1 + len(self.fixes) + len(self.taps) + rejected

    @property
    def numbers(self) -> list[int]:
        """Every number of the stream that this delivery gives an answer to."""
        numbers = [fix.seq for fix in self.fixes]
        if self.taps or self.rejected:
            numbers += [tap.seq for tap in self.taps]
            numbers += [item.seq for item in self.rejected if item.seq is not None]
        return numbers


@dataclass(slots=True)
class Lane:
    """A stretch that may be judged now, with the fixes of it that this turn brought."""

    stretch: Stretch
    fixes: list[Fix]


@dataclass(slots=True)
class Turn:
    """Collects what a technician's deliveries come to. `rows`, `rejected` and `cleared` are to be stored."""

    technician: Technician
    now_s: float
    checkpoint: Checkpoint
    shifts: list[Shift]
    taps: list[tuple[Device, Tap]] = field(default_factory=list)
    rows: list[FixRows] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    cleared: list[tuple[UUID, Fix]] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    verdicts: dict[tuple[UUID, int], dict[int, str]] = field(default_factory=dict)  # by device and stream, then number
    dead_taps: list[tuple[Device, Tap, TapVerdict]] = field(default_factory=list)

    @classmethod
    def of(cls, technician: Technician, now_s: float) -> Turn:
        checkpoint = forget_what_is_to_come(technician.checkpoint, now_s)
        return cls(technician, now_s, checkpoint, list(technician.shifts))

    def take(self, delivery: Delivery, receipt: TapReceipt) -> None:
        """Judge one delivery. Only taps that were not stored before have an effect; the others are answered again."""
        answers = self.verdicts.setdefault((delivery.device.id, delivery.stream), {})
        answers.update(receipt.verdicts)
        self._take_taps(delivery, receipt)
        skew = delivery.skew_s
        fixes = [fix._replace(time_s=fix.time_s + skew) for fix in delivery.fixes] if skew else list(delivery.fixes)
        suspect = self.checkpoint.suspect
        own_suspect = suspect.fix if suspect is not None and suspect.device_id == delivery.device.id else None
        judgement = judge(
            fixes,
            shifts=self.shifts,
            skew_s=skew,
            received_s=delivery.received_s,
            last=self.checkpoint.position,
            suspect=own_suspect,
        )
        if judgement.verdicts:
            answers |= {seq: verdict.value for seq, verdict in judgement.verdicts.items()}
        if delivery.rejected:
            answers |= {item.seq: item.reason.value for item in delivery.rejected if item.seq is not None}
        self._keep(delivery, judgement, fixes, skew)
        self._follow(delivery, judgement)

    def _take_taps(self, delivery: Delivery, receipt: TapReceipt) -> None:
        if not delivery.taps:
            return
        new = [tap for tap in delivery.taps_on_our_clock() if tap.seq in receipt.new]
        for tap in new:
            if tap.time_s < delivery.received_s - OLDEST_TAP_S:
                self._have_no_effect(delivery.device, tap, TapVerdict.too_old)
            else:
                self.taps.append((delivery.device, tap))
        self.shifts = after_taps(self.shifts, [tap for _, tap in self.taps])

    def _keep(self, delivery: Delivery, judgement: Judgement, fixes: list[Fix], skew: float) -> None:
        """Sort the fixes by where they are kept."""
        device, verdicts = delivery.device, judgement.verdicts
        kept = fixes
        if verdicts:
            self.rejected += [
                reject(device.id, verdicts[fix.seq], fix, delivery.received_s)
                for fix in fixes
                if verdicts.get(fix.seq) in QUARANTINE_TABLE
            ]
            kept = [fix for fix in fixes if verdicts.get(fix.seq) not in NOT_IN_TABLE]
        if kept:
            given = [verdicts.get(fix.seq) for fix in kept] if verdicts else [None] * len(kept)
            self.rows.append(FixRows(device.organisation_id, device.id, delivery.received_s, skew, kept, given))
        self.rejected += delivery.rejected

    def _follow(self, delivery: Delivery, judgement: Judgement) -> None:
        """Move the checkpoint: the position to the newest trusted fix, the order lane as far as there is no gap."""
        device_id = delivery.device.id
        if judgement.suspect is not None:
            self.checkpoint = self.checkpoint._replace(suspect=Suspect(device_id, judgement.suspect))
        elif self.checkpoint.suspect is not None and self.checkpoint.suspect.device_id == device_id:
            self.checkpoint = self.checkpoint._replace(suspect=None)
        trusted, position = judgement.trusted, self.checkpoint.position
        if trusted and (position is None or trusted[-1].time_s > position.time_s):
            self.checkpoint = self.checkpoint._replace(position=trusted[-1])
        if judgement.cleared is not None:
            self.cleared.append((device_id, judgement.cleared))
        numbers = delivery.numbers
        if not numbers:
            return
        self.checkpoint, stretch = receive(self.checkpoint, device_id, delivery.stream, numbers, self.now_s)
        if stretch is not None:
            own = [fix for fix in trusted if stretch.first <= fix.seq <= stretch.last or fix is judgement.cleared]
            self.lanes.append(Lane(stretch, own))

    def refuse(self, rows: FixRows) -> None:
        """The store would not have this one fix: it goes to quarantine, its phone is told, and nothing follows from
        it."""
        (refused,) = rows.fixes
        self.rejected.append(reject(rows.device_id, Verdict.refused, refused, rows.received_s))
        self.verdicts[rows.device_id, refused.stream][refused.seq] = Verdict.refused.value
        for lane in self.lanes:
            lane.fixes = [fix for fix in lane.fixes if fix is not refused]
        if self.checkpoint.position is refused:
            self.checkpoint = self.checkpoint._replace(position=self.technician.checkpoint.position)
        if self.checkpoint.suspect is not None and self.checkpoint.suspect.fix is refused:
            self.checkpoint = self.checkpoint._replace(suspect=None)

    def begun_or_changed_shifts(self) -> list[Shift]:
        """The shifts to write."""
        return [shift for shift in self.shifts if shift not in self.technician.shifts]

    def assess(self, lane: Sequence[Fix], correction: Correction) -> Assessment:
        """What the taps and the fixes that may be judged come to."""
        taps = [tap for _, tap in self.taps if tap.kind not in SHIFT_TAPS]
        jobs, shift_changed = self.technician.jobs, bool(self.begun_or_changed_shifts())
        assessment = assess(self.checkpoint, jobs, taps, lane, self.now_s, correction, shift_changed=shift_changed)
        for device, tap in self.taps:
            verdict = assessment.tap_verdicts.get((tap.stream, tap.seq))
            if verdict is not None:
                self._have_no_effect(device, tap, verdict)
        return assessment

    def give_up_judging(self) -> None:
        """The judging itself fails on this phone's data: its fixes and taps are kept, and nothing follows from them."""
        for device, tap in self.taps:
            self._have_no_effect(device, tap, TapVerdict.not_judged)

    def _have_no_effect(self, device: Device, tap: Tap, verdict: TapVerdict) -> None:
        self.verdicts[device.id, tap.stream][tap.seq] = verdict.value
        self.dead_taps.append((device, tap, verdict))

    def answer(self, delivery: Delivery) -> dict[int, str]:
        """The verdicts on what this delivery brought."""
        verdicts = self.verdicts[delivery.device.id, delivery.stream]
        if not verdicts:
            return {}
        own = set(delivery.numbers)
        return {seq: verdict for seq, verdict in verdicts.items() if seq in own}

    def after(self, assessment: Assessment | None) -> Technician:
        """The technician as this turn leaves them; as they were, when nothing was judged."""
        technician, version = self.technician, self.technician.version + 1
        if assessment is None:
            return technician._replace(version=version)
        jobs = tuple(job for job in assessment.jobs.values() if is_remembered(job, self.now_s))
        shifts = tuple(self.shifts)
        return Technician(technician.id, technician.organisation_id, version, assessment.checkpoint, shifts, jobs)


def reject(device_id: UUID, verdict: Verdict, fix: Fix, received_s: float) -> Rejected:
    """A fix for the quarantine, with all it said."""
    return Rejected(device_id, verdict, json.dumps(fix._asdict()).encode(), received_s, fix.stream, fix.seq)
