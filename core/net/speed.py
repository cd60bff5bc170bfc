"""Detect downloads that are too slow."""

from collections.abc import Callable


class LeastSpeed:
    """Requires at least `least_bytes` in every `window_s` seconds of `now`."""

    def __init__(self, least_bytes: int, window_s: float, now: Callable[[], float]) -> None:
        self._least_bytes, self._window_s, self._now = least_bytes, window_s, now
        self._began_s, self._bytes = now(), 0

    def too_slow(self, n_bytes: int) -> bool:
        """Count received bytes. True at the end of a window that received too few."""
        self._bytes += n_bytes
        if self._now() - self._began_s < self._window_s:
            return False
        slow = self._bytes < self._least_bytes
        self._began_s, self._bytes = self._now(), 0
        return slow
