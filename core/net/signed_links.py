"""Signed, expiring addresses: of full results too large to be posted, and of pages that show a result to others.

Only exists where `PUBLIC_URL` is set. The signature covers job, file name and expiry; nothing is looked up before it
holds. A link lives as long as the files are kept.
"""

import hashlib
import hmac
from urllib.parse import quote

from core.ports import Clock

SHARED_PAGE = "/share"
"""Signed in place of a file's name; no file can be called that."""


class FileLinks:
    """Makes and checks links. `key` is the process-wide signing key; `life_s` the retention in seconds."""

    def __init__(self, key: bytes, public_url: str | None, life_s: float, clock: Clock) -> None:
        self._key = key
        self._base = public_url.rstrip("/") if public_url else None
        self._life_s = life_s
        self._clock = clock

    def link(self, job_id: str, name: str) -> str | None:
        """The address of a job's file from now until it is no longer kept; None without a public address."""
        return self._address(f"/files/{quote(job_id)}/{quote(name)}?sig=", job_id, name, self._clock.now())

    def share(self, job_id: str, since: float) -> str | None:
        """The address of the page that shows a result made at `since` to anybody, while it is kept."""
        return self._address(f"/share/{quote(job_id)}/", job_id, SHARED_PAGE, since)

    def _address(self, path: str, job_id: str, name: str, since: float) -> str | None:
        if self._base is None:
            return None
        expires = int(since + self._life_s)
        return f"{self._base}{path}{expires}.{self._mac(job_id, name, expires)}"

    def shares(self, job_id: str, signature: str) -> bool:
        """Whether `signature` is that of a share of this job which has not expired."""
        return self.holds(job_id, SHARED_PAGE, signature)

    @property
    def public(self) -> bool:
        """Whether there is a public address to make links with."""
        return self._base is not None

    def holds(self, job_id: str, name: str, signature: str) -> bool:
        """Whether `signature` was made by us for this file and has not expired."""
        expires, _, mac = signature.partition(".")
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
            return False
        right = hmac.compare_digest(mac.encode(), self._mac(job_id, name, int(expires)).encode())
        return right and int(expires) > self._clock.now()

    def _mac(self, job_id: str, name: str, expires: int) -> str:
        message = f"upscale file 1|{expires}|{job_id}|{name}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()[:40]
