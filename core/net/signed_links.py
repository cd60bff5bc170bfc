"""Signed, expiring links: to results too large to be posted, and to pages that share a result.

There are none without `PUBLIC_URL`. The signature covers job, file name and expiry, and is verified before anything is
looked up. A link is valid for as long as the files are kept.
"""

import hashlib
import hmac
from urllib.parse import quote, urlsplit

from core.ports import Clock

SHARED_PAGE = "/share"
"""Signed in place of a file's name; no file can have this name."""


class FileLinks:
    """Creates and verifies links. `key` is the process-wide signing key; `life_s` the retention in seconds."""

    def __init__(self, key: bytes, public_url: str | None, life_s: float, clock: Clock) -> None:
        self._key = key
        self._base = public_url.rstrip("/") if public_url else None
        self._life_s = life_s
        self._clock = clock

    def file_url(self, job_id: str, name: str) -> str | None:
        """Return a link to a job's file, valid from now for the retention; None without a public URL."""
        return self._signed(f"/files/{quote(job_id)}/{quote(name)}?sig=", job_id, name, self._clock.now())

    def share_url(self, job_id: str, since: float) -> str | None:
        """Return a link to the page that shows a result made at `since` to anybody; None unless `can_share`."""
        return self._signed(f"/share/{quote(job_id)}/", job_id, SHARED_PAGE, since) if self.can_share else None

    def _signed(self, path: str, job_id: str, name: str, since: float) -> str | None:
        if self._base is None:
            return None
        expires = int(since + self._life_s)
        return f"{self._base}{path}{expires}.{self._mac(job_id, name, expires)}"

    @property
    def can_share(self) -> bool:
        """Whether the page can be reached from outside: below a path of a public URL it cannot."""
        return self._base is not None and not urlsplit(self._base).path

    def is_valid(self, job_id: str, name: str, signature: str) -> bool:
        expires, _, mac = signature.partition(".")
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
            return False
        genuine = hmac.compare_digest(mac.encode(), self._mac(job_id, name, int(expires)).encode())
        return genuine and int(expires) > self._clock.now()

    def _mac(self, job_id: str, name: str, expires: int) -> str:
        message = f"upscale file 1|{expires}|{job_id}|{name}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()[:40]
