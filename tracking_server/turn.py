"""One technician's turn in a transaction: their deliveries judged, what to store, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from tracking_server.domain.assess import Assessment, assess
from tracking_server.domain.checkpoint import Advance, Checkpoint, receive
from tracking_server.domain.eta import Correction
from tracking_server.domain.events import SHIFT_TAPS, Tap, TapVerdict
from tracking_server.domain.fix import QUARANTINE_TABLE, Fix, Judgement, Verdict, judge, skew_s
from tracking_server.domain.job import Job
from tracking_server.domain.shift import Shift, after_taps
from tracking_server.store.devices import Device
from tracking_server.store.fixes import FixRow, Rejected
from tracking_server.store.memory import Technician


@dataclass(frozen=True, slots=True)
class Delivery:
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
        return [replace(tap, time_s=min(tap.time_s + self.skew_s, self.received_s)) for tap in self.taps]

    @property
    def numbers(self) -> list[int]:
        """Every number of the stream that this delivery gives an answer to."""
        rejected = [item.seq for item in self.rejected if item.seq is not None]
        return [*(fix.seq for fix in self.fixes), *(tap.seq for tap in self.taps), *rejected]


@dataclass(slots=True)
class Lane:
    """A stretch of a stream that may be judged now, with the fixes of it that this turn brought."""

    device_id: UUID
    stream: int
    advance: Advance
    fixes: list[Fix]


@dataclass(slots=True)
class Turn:
    """Collects what a technician's deliveries come to. `rows`, `rejected` and `cleared` are to be stored."""

    technician: Technician
    now_s: float
    checkpoint: Checkpoint
    shifts: list[Shift]
    taps: list[tuple[Device, Tap]] = field(default_factory=list)
    rows: list[FixRow] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    cleared: list[tuple[UUID, Fix]] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    verdicts: dict[tuple[UUID, int], dict[int, str]] = field(default_factory=dict)  # by device and stream, then number

    @classmethod
    def of(cls, technician: Technician, now_s: float) -> Turn:
        return cls(technician, now_s, technician.checkpoint, list(technician.shifts))

    def take(self, delivery: Delivery, new_taps: set[tuple[int, int]]) -> None:
        """Judge one delivery. Only taps that were not stored before have an effect."""
        skew = delivery.skew_s
        taps = [tap for tap in delivery.taps_on_our_clock() if (tap.stream, tap.seq) in new_taps]
        self.taps += [(delivery.device, tap) for tap in taps]
        self.shifts = after_taps(self.shifts, taps)
        fixes = [replace(fix, time_s=fix.time_s + skew) for fix in delivery.fixes] if skew else list(delivery.fixes)
        judgement = judge(
            fixes,
            shifts=self.shifts,
            skew_s=skew,
            received_s=delivery.received_s,
            last=self.checkpoint.position,
            suspect=self.checkpoint.suspect,
        )
        self._note_verdicts(delivery, judgement, fixes, skew)
        self._follow(delivery, judgement)

    def _note_verdicts(self, delivery: Delivery, judgement: Judgement, fixes: list[Fix], skew: float) -> None:
        device = delivery.device
        for fix in fixes:
            verdict = judgement.verdicts.get(fix.seq)
            if verdict in QUARANTINE_TABLE:
                self.rejected.append(reject(device.id, verdict, fix, delivery.received_s))
            elif verdict is not Verdict.not_on_shift:
                self.rows.append(FixRow(device.organisation_id, device.id, delivery.received_s, skew, fix, verdict))
        self.rejected += delivery.rejected
        answers = {seq: verdict.value for seq, verdict in judgement.verdicts.items()}
        answers |= {item.seq: item.reason.value for item in delivery.rejected if item.seq is not None}
        self.verdicts[delivery.device.id, delivery.stream] = {
            **self.verdicts.get((delivery.device.id, delivery.stream), {}),
            **answers,
        }

    def _follow(self, delivery: Delivery, judgement: Judgement) -> None:
        """Move the checkpoint: the position to the newest trusted fix, the order lane as far as there is no gap."""
        self.checkpoint = replace(self.checkpoint, suspect=judgement.suspect)
        trusted = judgement.trusted
        position = self.checkpoint.position
        if trusted and (position is None or trusted[-1].time_s > position.time_s):
            self.checkpoint = replace(self.checkpoint, position=trusted[-1])
        if judgement.cleared is not None:
            self.cleared.append((delivery.device.id, judgement.cleared))
        if not delivery.numbers:
            return
        advance = receive(self.checkpoint, delivery.device.id, delivery.stream, delivery.numbers, self.now_s)
        self.checkpoint = advance.checkpoint
        if not advance.empty:
            own = [fix for fix in trusted if advance.first <= fix.seq <= advance.last or fix is judgement.cleared]
            self.lanes.append(Lane(delivery.device.id, delivery.stream, advance, own))

    def refuse(self, row: FixRow) -> None:
        """The store would not have this row: it goes to quarantine, and its phone is told."""
        self.rejected.append(reject(row.device_id, Verdict.refused, row.fix, row.received_s))
        for lane in self.lanes:
            lane.fixes = [fix for fix in lane.fixes if fix is not row.fix]
        self.verdicts[row.device_id, row.fix.stream][row.fix.seq] = Verdict.refused.value

    def begun_or_changed_shifts(self) -> list[Shift]:
        """The shifts to write."""
        return [shift for shift in self.shifts if shift not in self.technician.shifts]

    def assess(self, lane: Sequence[Fix], correction: Correction) -> Assessment:
        """What the taps and the fixes that may be judged come to."""
        taps = [tap for _, tap in self.taps if tap.kind not in SHIFT_TAPS]
        shift_changed = bool(self.begun_or_changed_shifts())
        return assess(
            self.checkpoint, self.technician.jobs, taps, lane, self.now_s, correction, shift_changed=shift_changed
        )

    def ineffective_taps(self, assessment: Assessment) -> list[tuple[Device, Tap, TapVerdict]]:
        """The taps that changed nothing, which their phone is told as well."""
        found = []
        for device, tap in self.taps:
            verdict = assessment.tap_verdicts.get((tap.stream, tap.seq))
            if verdict is not None:
                self.verdicts[device.id, tap.stream][tap.seq] = verdict.value
                found.append((device, tap, verdict))
        return found

    def answer(self, delivery: Delivery) -> dict[int, str]:
        """The verdicts on what this delivery brought."""
        own = set(delivery.numbers)
        verdicts = self.verdicts[delivery.device.id, delivery.stream]
        return {seq: verdict for seq, verdict in verdicts.items() if seq in own}

    def after(self, assessment: Assessment | None) -> Technician:
        """The technician as this turn leaves them."""
        jobs: tuple[Job, ...] = self.technician.jobs
        checkpoint = self.checkpoint
        if assessment is not None:
            jobs, checkpoint = tuple(assessment.jobs.values()), assessment.checkpoint
        version = self.technician.version + 1
        return replace(self.technician, version=version, checkpoint=checkpoint, shifts=tuple(self.shifts), jobs=jobs)


def reject(device_id: UUID, verdict: Verdict, fix: Fix, received_s: float) -> Rejected:
    """A fix for the quarantine, with all it said."""
    said = {name: getattr(fix, name) for name in Fix.__slots__}
    return Rejected(device_id, verdict, json.dumps(said).encode(), received_s, fix.stream, fix.seq)
