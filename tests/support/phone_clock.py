"""A phone's clocks, moved by tests."""

from __future__ import annotations

import asyncio

from tech_app.core.clock import PhoneClock

NOON_S = 20_000 * 86_400.0 + 43_200


class SetPhoneClock:
    """Stands still until it is moved or slept on."""

    def __init__(self, now_s: float = NOON_S, since_boot_s: float = 1_000.0) -> None:
        self.now_s = now_s
        self.since_boot_s = since_boot_s

    def now(self) -> float:
        return self.now_s

    def since_boot(self) -> float:
        return self.since_boot_s

    def pass_time(self, seconds: float) -> None:
        """Both clocks go on."""
        self.now_s += seconds
        self.since_boot_s += seconds

    def set_forward(self, seconds: float) -> None:
        """Somebody sets the clock; a negative number sets it back."""
        self.now_s += seconds

    def switch_on_again(self, after_s: float = 600.0) -> None:
        """The battery was empty for a while."""
        self.now_s += after_s
        self.since_boot_s = 20.0

    async def sleep(self, seconds: float) -> None:
        self.pass_time(seconds)
        await asyncio.sleep(0)


class AheadClock(PhoneClock):
    """The device's own, put ahead: both clocks, as if that time had passed."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now(self) -> float:
        return super().now() + self.ahead_s

    def since_boot(self) -> float:
        return super().since_boot() + self.ahead_s

    def pass_time(self, seconds: float) -> None:
        self.ahead_s += seconds
