"""Downloads result files to disk: streamed, resumed after an interruption, without the API key.

fal's own hosts and the configured ones are trusted. fal's toolkit also stores results at Google, redirects, and returns
`data:` URIs (fal-ai/fal, file providers, 2026-08), so any other public https address is fetched through the guard of
`core.net`; private addresses never are.
"""

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

import aiohttp
import structlog
from yarl import URL

from core.domain.errors import LinkRefused, ModelFailed, ProviderUnavailable
from core.net.fetch import looks_like_html
from core.net.file_sink import open_file
from core.net.guard import Guard, HostSet, guarded_session, parse_link
from core.net.retry import Backoff, retry
from core.net.speed import LeastSpeed
from core.upscalers.fal.config import FalConfig
from core.upscalers.fal.transport import NETWORK_ERRORS, USER_AGENT, Transport, timeout_for

log = structlog.get_logger(__name__)

FETCH_TRIES = 5
MAX_REDIRECTS = 5
CHUNK_BYTES = 256 * 1024
MIN_WINDOW_BYTES, WINDOW_S = 300_000, 30.0
"""A slower transfer is aborted and resumed, if the host supports that."""

MAX_KEPT_PARTS = 1_000
_PAUSES = Backoff(first_s=0.5, cap_s=8.0)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class _RetryableDownload(Exception):
    """This attempt did not return the whole file."""


@dataclass
class _Partial:
    """The part of the file that is on disk. `validator` (ETag or Last-Modified) identifies the file for a resume."""

    file: BinaryIO
    size_bytes: int = 0
    validator: str | None = None

    async def restart(self) -> None:
        await asyncio.to_thread(self.file.seek, 0)
        await asyncio.to_thread(self.file.truncate)
        self.size_bytes = 0


class Downloader:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._config: FalConfig = transport.config
        self._kept: dict[tuple[str, Path], str] = {}
        """Validators of partial files that earlier calls left on disk."""

    async def fetch(self, address: str, dest: Path, *, max_bytes: int) -> None:
        """Implement `core.ports.Upscaler.fetch`. `dest` appears only when it is complete.

        Raises ProviderUnavailable after some attempts within seconds, whatever the host answers: a 403 or 404 may be
        temporary. The part received by then is kept for the next call if the host can resume. Raises ModelFailed
        (billed, since fal reports success) for a private address or more than `max_bytes`.
        """
        part = dest.with_name(dest.name + ".part")
        validator = self._kept.pop((address, part), None)
        file = await open_file(part, "ab+" if validator else "wb+")
        partial = _Partial(file, await asyncio.to_thread(file.seek, 0, 2), validator)
        try:
            if address[:5].lower() == "data:":
                await asyncio.to_thread(file.write, await asyncio.to_thread(_decoded, address, max_bytes))
            else:
                await self._fetch_into(partial, self._allowed(address), max_bytes)
            await asyncio.to_thread(file.close)
            await asyncio.to_thread(part.replace, dest)
        except LinkRefused as refusal:
            log.warning("fal_result_address_refused", reason=refusal.reason)
            raise ModelFailed(kind="foreign_result_address", billed=True) from refusal
        except ProviderUnavailable:
            if partial.size_bytes and partial.validator is not None and len(self._kept) < MAX_KEPT_PARTS:
                self._kept[address, part] = partial.validator
            raise
        finally:
            file.close()
            if (address, part) not in self._kept:
                await asyncio.to_thread(part.unlink, missing_ok=True)

    def _allowed(self, address: str) -> URL:
        """Return the address if it may be fetched. Raises LinkRefused."""
        if self._config.may_fetch_from(address):
            return URL(address, encoded=True)
        if parse_link(address).scheme != "https":
            raise LinkRefused(reason="scheme")
        url = URL(address, encoded=True)
        Guard(HostSet(frozenset())).check_url(url)
        return url

    async def _fetch_into(self, partial: _Partial, url: URL, max_bytes: int) -> None:
        def pause(error: Exception, attempt: int) -> float | None:
            if not isinstance(error, (_RetryableDownload, *NETWORK_ERRORS)):
                return None
            kind = str(error) if isinstance(error, _RetryableDownload) else type(error).__name__
            log.info("fal_download_cut", kind=kind, have_bytes=partial.size_bytes, attempt=attempt)
            return _PAUSES.pause_s(attempt)

        clock = self._transport.clock
        try:
            await retry(lambda: self._one_try(partial, url, max_bytes), clock=clock, pause=pause, attempts=FETCH_TRIES)
        except (_RetryableDownload, *NETWORK_ERRORS) as error:
            raise ProviderUnavailable from error

    async def _one_try(self, partial: _Partial, url: URL, max_bytes: int) -> None:
        headers = {"Accept-Encoding": "identity"}
        if partial.size_bytes and partial.validator is not None:
            headers |= {"Range": f"bytes={partial.size_bytes}-", "If-Range": partial.validator}
        for _ in range(MAX_REDIRECTS + 1):
            async with self._open(url, headers, max_bytes) as response:
                if response.status in _REDIRECTS and "Location" in response.headers:
                    try:
                        url = self._allowed(str(url.join(URL(response.headers["Location"]))))
                    except (LinkRefused, ValueError) as error:  # may be temporary, unlike a refused result address
                        raise _RetryableDownload("redirect_refused") from error
                    continue
                continues = response.status == HTTPStatus.PARTIAL_CONTENT
                if response.status != HTTPStatus.OK and not continues:
                    if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                        partial.validator = None
                    raise _RetryableDownload(f"http_{response.status}")
                where = response.headers.get("Content-Range", "")
                if partial.size_bytes and not (continues and where.startswith(f"bytes {partial.size_bytes}-")):
                    await partial.restart()
                await self._copy(response, partial, max_bytes)
                return
        raise _RetryableDownload("redirects")

    @asynccontextmanager
    async def _open(
        self, url: URL, headers: dict[str, str], max_bytes: int
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        reply_s = self._config.reply_timeout_s
        timeout = timeout_for(self._config, total_s=2 * reply_s + max_bytes / 100_000, silence_s=reply_s / 2)
        is_trusted = self._config.may_fetch_from(str(url))
        guard = Guard(HostSet(frozenset()))
        try:
            async with AsyncExitStack() as stack:
                session = self._transport.session
                if not is_trusted:
                    session = guarded_session(guard, {"User-Agent": USER_AGENT}, timeout)
                    await stack.enter_async_context(session)
                call = session.get(url, headers=headers, allow_redirects=False, timeout=timeout)
                yield await stack.enter_async_context(call)
        except NETWORK_ERRORS as error:
            if guard.refused:
                raise LinkRefused(reason="private_address") from error
            raise

    async def _copy(self, response: aiohttp.ClientResponse, partial: _Partial, max_bytes: int) -> None:
        expected = response.content_length
        start_bytes = partial.size_bytes
        tag = response.headers.get("ETag", "")
        partial.validator = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
        if expected is not None and start_bytes + expected > max_bytes:
            raise ModelFailed(kind="result_file_too_large", billed=True)
        speed = LeastSpeed(MIN_WINDOW_BYTES, WINDOW_S, self._transport.clock.now)
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            # An HTML, XML or JSON error page of a server; no image begins like that.
            start = chunk[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
            if partial.size_bytes == 0 and (looks_like_html(chunk) or start.startswith((b"<?xml", b"<Error", b"{"))):
                raise _RetryableDownload("page")
            if partial.size_bytes + len(chunk) > max_bytes:
                raise ModelFailed(kind="result_file_too_large", billed=True)
            await asyncio.to_thread(partial.file.write, chunk)
            partial.size_bytes += len(chunk)
            is_complete = partial.size_bytes - start_bytes == expected
            if speed.too_slow(len(chunk)) and partial.validator is not None and not is_complete:
                raise _RetryableDownload("slow")
        if expected is not None and partial.size_bytes - start_bytes != expected:
            raise _RetryableDownload("short")


def _decoded(address: str, max_bytes: int) -> bytes:
    """Decode a `data:` URI. Raises ModelFailed if it is too large or invalid."""
    head, comma, body = address.partition(",")
    is_base64 = head.lower().endswith(";base64")
    if (len(body) * 3 // 4 - 3 if is_base64 else len(body) // 3) > max_bytes:  # before anything is copied
        raise ModelFailed(kind="result_file_too_large", billed=True)
    try:
        data = base64.b64decode(unquote_to_bytes(body), validate=True) if is_base64 else unquote_to_bytes(body)
    except (binascii.Error, ValueError) as error:
        raise ModelFailed(kind="unreadable_result", billed=True) from error
    if not comma or len(data) > max_bytes:
        raise ModelFailed(kind="result_file_too_large" if comma else "unreadable_result", billed=True)
    return data
