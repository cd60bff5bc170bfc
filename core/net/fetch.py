"""Download source images to disk, with limits on bytes and time. `core.images.service` checks what was downloaded.

`fetch_link` is for links that a person typed and trusts nothing; `fetch_trusted` is for a chat platform's own file
hosts. Redirects are followed here, and each hop is checked. Never holds a whole file in memory, never logs a link.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

import aiohttp
from aiohttp import hdrs
from yarl import URL

from core.domain.errors import DownloadFailed, FileTooLarge, LinkRefused
from core.net.file_sink import FetchedFile, save_stream
from core.net.guard import Guard, HostSet, guarded_session, parse_link
from core.net.speed import LeastSpeed

_CHUNK_BYTES: Final = 256 * 1024
_MAX_REDIRECTS: Final = 5
"""The limit of fal's own toolkit (read 2026-11-22)."""
_REDIRECT_STATUSES: Final = {301, 302, 303, 307, 308}
_GONE_STATUSES: Final = {404, 410}
_MESSAGE_LINK: Final = re.compile(
    r"<?https://([\w-]+\.)*(slack\.com/archives|discord(app)?\.com/channels)/", re.IGNORECASE
)
_RETRYABLE_STATUSES: Final = {500, 502, 503, 504}
_HEADERS: Final = {
    hdrs.USER_AGENT: "UpscaleBot/1.0 (fetches the one image that a person asked for)",
    hdrs.ACCEPT: "image/*,*/*;q=0.5",
    hdrs.ACCEPT_ENCODING: "identity",
}


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """Limits of one fetch, including its one retry.

    `idle_s`: longest time without data. `answer_s`: longest wait for the first byte, including redirects. At least
    `least_bytes` must arrive in every `window_s`.
    """

    max_bytes: int = 50_000_000
    total_s: float = 120.0
    idle_s: float = 20.0
    connect_s: float = 10.0
    answer_s: float = 20.0
    least_bytes: int = 320_000
    window_s: float = 10.0
    retry_pause_s: float = 0.3


class SourceFetcher:
    """Downloads files. Keeps no connection between calls and needs no closing.

    `trusted_hosts` (host or host:port) may serve attachments from any address, and from the named port. That holds for
    the first hop only, never for typed links or after a redirect. `allow_private` turns these checks off, for tests.
    """

    def __init__(
        self,
        limits: SourceLimits | None = None,
        *,
        trusted_hosts: Iterable[str] = (),
        allow_private: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits or SourceLimits()
        self._now = now
        self._trusted = HostSet.of(trusted_hosts)
        self._allow_private = allow_private

    async def fetch_link(self, url: str, dest: Path) -> FetchedFile:
        """Download a typed link. Raises LinkRefused, DownloadFailed (`login_page`: any web page) or FileTooLarge.

        On failure nothing is left at `dest`.
        """
        if _MESSAGE_LINK.match(url):
            raise LinkRefused(reason="message")
        fetch = _Fetch(self._limits, HostSet.of(()), self._allow_private, None, {}, self._now)
        return await fetch.run(parse_link(url), dest)

    async def fetch_trusted(
        self, url: str, dest: Path, headers: Mapping[str, str], hosts: Iterable[str]
    ) -> FetchedFile:
        """Download a platform's attachment.

        `headers` are sent only to `hosts` and to the operator's trusted hosts, and only over https unless that exact
        host:port is named. Any other host is fetched without them and under the full guard. Raises DownloadFailed
        (`login_page` where a web page came instead of the file), LinkRefused, FileTooLarge.
        """
        fetch = _Fetch(self._limits, self._trusted, self._allow_private, HostSet.of(hosts), headers, self._now)
        return await fetch.run(parse_link(url), dest)


class _Retryable(Exception):
    """A failure that may pass with one more attempt."""

    def __init__(self, failure: DownloadFailed) -> None:
        super().__init__(failure.code)
        self.failure = failure


class _Fetch:
    """One download. `platform` is None for a typed link."""

    def __init__(
        self,
        limits: SourceLimits,
        trusted: HostSet,
        allow_private: bool,
        platform: HostSet | None,
        headers: Mapping[str, str],
        now: Callable[[], float],
    ) -> None:
        self._limits = limits
        self._now = now
        self._is_link = platform is None
        self._platform = HostSet(trusted.entries | platform.entries) if platform else trusted
        self._named = self._platform.entries
        self._headers = headers
        self._guard = Guard(self._platform, allow_private=allow_private)

    async def run(self, url: URL, dest: Path) -> FetchedFile:
        """Download with one retry, all within `total_s`. Raises InputError."""
        try:
            async with asyncio.timeout(self._limits.total_s):
                try:
                    return await self._attempt(url, dest)
                except _Retryable:
                    await asyncio.sleep(self._limits.retry_pause_s)
                return await self._attempt(url, dest)
        except _Retryable as last:
            raise last.failure from last
        except TimeoutError as error:
            raise DownloadFailed(reason="timeout") from error

    async def _attempt(self, url: URL, dest: Path) -> FetchedFile:
        timeout = aiohttp.ClientTimeout(total=None, connect=self._limits.connect_s, sock_read=self._limits.idle_s)
        try:
            async with guarded_session(self._guard, _HEADERS, timeout) as session:
                return await self._follow(session, url, dest)
        except aiohttp.ClientConnectorDNSError as error:
            raise self._unreachable("dns") from error
        except (aiohttp.ConnectionTimeoutError, aiohttp.SocketTimeoutError) as error:
            raise _Retryable(DownloadFailed(reason="timeout")) from error
        except TimeoutError as error:
            raise DownloadFailed(reason="timeout") from error
        except aiohttp.ClientPayloadError as error:
            raise _Retryable(DownloadFailed(reason="truncated")) from error
        except ValueError as error:  # the host cannot be a name or an address; IDNA encoding also raises this
            raise LinkRefused(reason="syntax") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable("connection") from error

    def _unreachable(self, what: str) -> Exception:
        if self._guard.refused:
            return LinkRefused(reason="private_address")
        if what == "dns" and self._is_link:
            return LinkRefused(reason="dns")
        return _Retryable(DownloadFailed(reason="connection"))

    async def _follow(self, session: aiohttp.ClientSession, url: URL, dest: Path) -> FetchedFile:
        async with asyncio.timeout(self._limits.answer_s) as answer:
            for hop in range(_MAX_REDIRECTS + 1):
                self._guard.check_url(url, redirected=hop > 0)
                headers = self._headers if self._may_see_headers(url) else {}
                async with session.get(url, headers=headers, allow_redirects=False) as response:
                    if response.status not in _REDIRECT_STATUSES:
                        answer.reschedule(None)
                        return await self._save(response, dest)
                    url = self._next(response, url)
        raise LinkRefused(reason="redirects")

    def _may_see_headers(self, url: URL) -> bool:
        host, port = (url.host or "").lower(), url.port or 0
        named = f"{host}:{port}" in self._named or f"[{host}]:{port}" in self._named
        return named or (url.scheme == "https" and self._platform.has(host, port))

    def _next(self, response: aiohttp.ClientResponse, url: URL) -> URL:
        location = response.headers.get(hdrs.LOCATION)
        if not location:
            raise DownloadFailed(reason="status", status=response.status)
        try:
            return parse_link(urljoin(str(url), location.replace(" ", "%20")))
        except ValueError as error:
            raise LinkRefused(reason="syntax") from error

    async def _save(self, response: aiohttp.ClientResponse, dest: Path) -> FetchedFile:
        self._check_status(response.status)
        declared = response.content_length
        if declared is not None and declared > self._limits.max_bytes:
            raise FileTooLarge(bytes=declared, limit_bytes=self._limits.max_bytes)
        return await save_stream(self._chunks(response, declared), dest, self._limits.max_bytes)

    async def _chunks(self, response: aiohttp.ClientResponse, declared_bytes: int | None) -> AsyncIterator[bytes]:
        speed, read_bytes = LeastSpeed(self._limits.least_bytes, self._limits.window_s, self._now), 0
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            if speed.too_slow(len(chunk)):
                raise DownloadFailed(reason="timeout")
            if read_bytes == 0 and looks_like_html(chunk):  # a page about the image, or one that asks for a login
                raise DownloadFailed(reason="login_page", status=200)
            read_bytes += len(chunk)
            yield chunk
        if declared_bytes is not None and read_bytes != declared_bytes:
            raise _Retryable(DownloadFailed(reason="truncated"))

    def _check_status(self, status: int) -> None:
        if status in _GONE_STATUSES:
            raise DownloadFailed(reason="gone", status=status)
        if status != 200:
            failure = DownloadFailed(reason="status", status=status)
            raise _Retryable(failure) if status in _RETRYABLE_STATUSES else failure


def looks_like_html(first: bytes) -> bool:
    """Whether a file begins like HTML. The declared content type is not considered."""
    text = first[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return text.startswith((b"<!doctype html", b"<html", b"<head", b"<body"))
