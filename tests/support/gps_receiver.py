"""A real gpsd, and a receiver that speaks NMEA to it by UDP."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SECOND_S = 0.05  # the receiver's seconds are short
SPEED_MPS = 10.0


@dataclass(frozen=True)
class Receiver:
    """gpsd listens on `port`, and takes NMEA on `nmea_port`."""

    port: int
    nmea_port: int

    async def drive_north(self, lat: float, lon: float, metres: float) -> None:
        """Half a metre a sentence from a place on, then stand; until cancelled. At 12:00 of 17 May 2024."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for second in range(100_000):
                north = min(metres, second * SPEED_MPS * SECOND_S) / 111_195
                for sentence in sentences(second, lat + north, lon):
                    sender.sendto(sentence.encode(), ("127.0.0.1", self.nmea_port))
                await asyncio.sleep(SECOND_S)


@contextmanager
def receiver() -> Iterator[Receiver | None]:
    """None where gpsd is not installed."""
    gpsd = shutil.which("gpsd") or shutil.which("/usr/sbin/gpsd")
    if gpsd is None:
        yield None
        return
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for probe in (tcp, udp):
            probe.bind(("127.0.0.1", 0))
        port, nmea_port = tcp.getsockname()[1], udp.getsockname()[1]
    process = subprocess.Popen([gpsd, "-N", "-n", "-S", str(port), f"udp://127.0.0.1:{nmea_port}"])
    try:
        yield Receiver(port, nmea_port)
    finally:
        process.terminate()
        process.wait(10)


def sentences(second: int, lat: float, lon: float) -> list[str]:
    """What a receiver in the north-west of the world says in one second."""
    time = f"12{second // 60 % 60:02d}{second % 60:02d}.00"
    place = f"{degrees(lat, 2)},N,{degrees(-lon, 3)},W"
    words = [
        f"GPRMC,{time},A,{place},19.44,000.0,170524,,,A",
        f"GPGGA,{time},{place},1,08,0.9,91.5,M,50.0,M,,",
        "GPGSA,A,3,01,02,03,04,05,06,07,08,,,,,1.5,0.9,1.2",
    ]
    return [f"${word}*{checksum(word):02X}\r\n" for word in words]


def degrees(value: float, width: int) -> str:
    """Degrees and minutes, written without anything in between."""
    whole = int(value)
    return f"{whole:0{width}d}{(value - whole) * 60:08.5f}"


def checksum(words: str) -> int:
    result = 0
    for character in words:
        result ^= ord(character)
    return result
