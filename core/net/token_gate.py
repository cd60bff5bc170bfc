"""Verify the web token, for sign-in, bearer tokens and `/metrics`.

Wrong tokens are counted per real client, so that guessing is slow. The right token always passes, so the guesses of
somebody behind the same address cannot lock its owner out.
"""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.net.client_address import TrustedProxies
from core.ports import Clock

MIN_TOKEN_CHARS = 16
MAX_TOKEN_CHARS = 1_000
ATTEMPTS_PER_WINDOW = 5
ATTEMPT_WINDOW_S = 60.0
MAX_TRACKED_CLIENTS = 1_000


@dataclass(eq=False)
class TooManyAttempts(Exception):
    """This client has used up its attempts for `retry_after_s`."""

    retry_after_s: int


@dataclass
class TokenGate:
    """Compares tokens and limits wrong ones. Without a token (None) none is right."""

    token: str | None
    clock: Clock
    proxies: TrustedProxies = field(default_factory=TrustedProxies)
    _failed: OrderedDict[str, list[float]] = field(default_factory=OrderedDict)

    def is_right(self, given: str, peer: str | None, forwarded_for: Sequence[str] = ()) -> bool:
        """Compare in constant time. Raises TooManyAttempts for a wrong token after too many of them."""
        if self.token is not None and hmac.compare_digest(_digest(given), _digest(self.token)):
            return True
        client, now = self.proxies.client(peer, forwarded_for), self.clock.now()
        recent = [at for at in self._failed.get(client, []) if now - at < ATTEMPT_WINDOW_S]
        if len(recent) >= ATTEMPTS_PER_WINDOW:
            raise TooManyAttempts(max(1, round(ATTEMPT_WINDOW_S - (now - recent[0]))))
        self._failed[client] = [*recent, now]
        self._failed.move_to_end(client)
        while len(self._failed) > MAX_TRACKED_CLIENTS:
            self._failed.popitem(last=False)
        return False


def _digest(text: str) -> bytes:
    return hashlib.sha256(text[: MAX_TOKEN_CHARS + 1].encode(errors="replace")).digest()
