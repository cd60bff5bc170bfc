"""Rate limits: per-route buckets, the bot's global 50 a second, and the counter of invalid requests."""

from collections import defaultdict, deque
from dataclasses import dataclass, field

from tests.emulators.discord.clock import Clock


@dataclass
class Bucket:
    limit: int
    window_s: float
    times: deque[float] = field(default_factory=deque)

    def take(self, now_s: float) -> tuple[int, float]:
        """(remaining, seconds until one is free again); remaining −1 means refused."""
        while self.times and now_s - self.times[0] >= self.window_s:
            self.times.popleft()
        if len(self.times) >= self.limit:
            return -1, self.times[0] + self.window_s - now_s
        self.times.append(now_s)
        return self.limit - len(self.times), self.times[0] + self.window_s - now_s


class Limits:
    """`webhook`, `channel`, `everything`: (requests, seconds). documented nowhere, so observed ones."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.webhook = (5, 2.0)
        self.channel = (5, 5.0)
        self.everything = (50, 1.0)
        self.invalid_cap = 10_000
        self._buckets: dict[str, Bucket] = {}
        self._invalid: deque[float] = deque()
        self.refused: dict[str, int] = defaultdict(int)

    def take(self, key: str, rule: tuple[int, float]) -> tuple[int, float]:
        bucket = self._buckets.setdefault(key, Bucket(*rule))
        remaining, reset_s = bucket.take(self._clock.now())
        if remaining < 0:
            self.refused[key] += 1
        return remaining, reset_s

    def count_invalid(self) -> None:
        self._invalid.append(self._clock.now())

    @property
    def invalid_requests(self) -> int:
        """401, 403 and unshared 429 answers in the last ten minutes."""
        while self._invalid and self._clock.now() - self._invalid[0] > 600:
            self._invalid.popleft()
        return len(self._invalid)

    @property
    def banned(self) -> bool:
        return self.invalid_requests >= self.invalid_cap
