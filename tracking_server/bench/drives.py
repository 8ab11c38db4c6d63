"""What the phones of the ingest bench send: drives to the north, a fix a second, some of which end at a door."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass

from tracking_server.bench.vans import LAT, LON, Van
from tracking_server.domain.fix import Fix
from tracking_server.domain.geofence import Geofence

STEP_DEG = 9e-5  # ten metres a second
SWAY_DEG = 1e-5  # who stands is seen a metre beside where they are
FAR_DEG = 2.0  # a door that nobody reaches
FIX = b'{"seq":%d,"time":%.2f,"lat":%.6f,"lon":%.6f,"accuracy_m":8.0,"speed_mps":%.1f,"course_deg":%d}'
ACCURACY_M, COURSE_DEG = 8.0, 0


@dataclass
class Drive:
    """One phone's way: it begins at `begins_s` and ends at the door after `door_at` fixes, or nowhere (None)."""

    van: Van
    stream: int
    begins_s: float
    door_at: int | None
    every_s: float = 1.0

    def body(self, count: int, id_: int | None = None) -> tuple[bytes, bytes]:
        """The next fixes as a phone writes them, and what an answer must say if it keeps and trusts all of them."""
        first = self.van.seq + 1
        fixes = b",".join(
            FIX % (fix.seq, fix.time_s, fix.lat, fix.lon, fix.speed_mps or 0.0, COURSE_DEG) for fix in self.fixes(count)
        )
        front = b"" if id_ is None else b'"id":%d,' % id_
        body = b'{%s"stream":%d,"fixes":[%s]}' % (front, self.stream, fixes)
        return body, b'"ack":[[%d,%d]],"verdicts":{}' % (first, self.van.seq)

    def fixes(self, count: int) -> Iterator[Fix]:
        """The next fixes."""
        for _ in range(count):
            self.van.seq += 1
            n = self.van.seq
            standing = self.door_at is not None and n > self.door_at
            lat = LAT + (self.door_at or 0) * STEP_DEG + n % 3 * SWAY_DEG if standing else LAT + n * STEP_DEG
            speed_mps = 0.2 if standing else 10.0
            yield Fix(self.stream, n, self.begins_s + n * self.every_s, LON, lat, ACCURACY_M, speed_mps, COURSE_DEG)


def door_after(fixes: int | None) -> Geofence:
    """The door that a drive comes to."""
    return Geofence(LON, LAT + (FAR_DEG if fixes is None else fixes * STEP_DEG))


def compressed(body: bytes) -> bytes:
    """As the app does to all but short ones."""
    return gzip.compress(body, compresslevel=6)
