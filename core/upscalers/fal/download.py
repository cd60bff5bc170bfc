"""Result files from fal's CDN to disk: streamed, resumed where cut, from fal's hosts only, without any key."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

import aiohttp
import structlog
from yarl import URL

from core.domain.errors import ModelFailed, ProviderUnavailable, ResultExpired
from core.upscalers.fal.config import FalConfig
from core.upscalers.fal.transport import NETWORK_ERRORS, Transport, backoff_s

log = structlog.get_logger(__name__)

FETCH_TRIES = 6
NOT_FOUND_TRIES = 3
MAX_REDIRECTS = 3
CHUNK_BYTES = 256 * 1024
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.FORBIDDEN})


class _TryAgain(Exception):
    """This try did not bring the whole file."""


@dataclass
class _Partial:
    """What is on disk so far. `validator` ties later parts to the same file."""

    file: BinaryIO
    size_bytes: int = 0
    validator: str | None = None
    not_found: int = 0

    async def restart(self) -> None:
        await asyncio.to_thread(self.file.seek, 0)
        await asyncio.to_thread(self.file.truncate)
        self.size_bytes = 0


class Downloader:
    """Fetches result files."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._config: FalConfig = transport.config

    async def fetch(self, address: str, dest: Path, *, max_bytes: int) -> None:
        """See `core.ports.Upscaler.fetch`. `dest` appears only when it is whole.

        A foreign address, or a file above `max_bytes`, is a ModelFailed: asking again cannot help.
        """
        part = dest.with_name(dest.name + ".part")
        file = await asyncio.to_thread(part.open, "wb+")
        try:
            await self._fetch_into(_Partial(file), self._allowed(address), max_bytes)
            await asyncio.to_thread(file.close)
            await asyncio.to_thread(part.replace, dest)
        finally:
            file.close()
            await asyncio.to_thread(part.unlink, missing_ok=True)

    def _allowed(self, address: str) -> URL:
        if not self._config.may_fetch_from(address):
            raise ModelFailed(kind="foreign_result_address")
        return URL(address, encoded=True)

    async def _fetch_into(self, partial: _Partial, url: URL, max_bytes: int) -> None:
        for attempt in range(FETCH_TRIES):
            if attempt:
                await self._transport.clock.sleep(backoff_s(attempt - 1, cap_s=8.0))
            try:
                await self._one_try(partial, url, max_bytes)
            except (_TryAgain, *NETWORK_ERRORS) as error:
                kind = str(error) if isinstance(error, _TryAgain) else type(error).__name__
                log.info("fal_download_cut", kind=kind, have_bytes=partial.size_bytes, attempt=attempt + 1)
            else:
                return
        raise ProviderUnavailable

    async def _one_try(self, partial: _Partial, url: URL, max_bytes: int) -> None:
        headers = {"Accept-Encoding": "identity"}
        if partial.size_bytes and partial.validator is not None:
            headers |= {"Range": f"bytes={partial.size_bytes}-", "If-Range": partial.validator}
        for _ in range(MAX_REDIRECTS + 1):
            async with self._get(url, headers, max_bytes) as response:
                if response.status in {301, 302, 303, 307, 308} and "Location" in response.headers:
                    url = self._allowed(str(url.join(URL(response.headers["Location"]))))
                    continue
                self._check(response, partial)
                if partial.size_bytes and not _continues(response, partial.size_bytes):
                    await partial.restart()
                await self._copy(response, partial, max_bytes)
                return
        raise _TryAgain("redirects")

    def _get(self, url: URL, headers: dict[str, str], max_bytes: int) -> aiohttp.client._RequestContextManager:
        timeout = aiohttp.ClientTimeout(
            total=2 * self._config.reply_timeout_s + max_bytes / 100_000,
            sock_connect=self._config.connect_timeout_s,
            sock_read=self._config.reply_timeout_s / 2,
        )
        return self._transport.session.get(url, headers=headers, allow_redirects=False, timeout=timeout)

    def _check(self, response: aiohttp.ClientResponse, partial: _Partial) -> None:
        if response.status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
            return
        if response.status in _GONE:
            # A file may be unknown at an edge for a moment after it was made.
            partial.not_found += 1
            if partial.not_found >= NOT_FOUND_TRIES:
                raise ResultExpired
        if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            partial.validator = None
        raise _TryAgain(f"http_{response.status}")

    async def _copy(self, response: aiohttp.ClientResponse, partial: _Partial, max_bytes: int) -> None:
        expected = response.content_length
        start_bytes = partial.size_bytes
        tag = response.headers.get("ETag", "")
        partial.validator = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
        if expected is not None and start_bytes + expected > max_bytes:
            raise ModelFailed(kind="result_file_too_large")
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            if partial.size_bytes + len(chunk) > max_bytes:
                raise ModelFailed(kind="result_file_too_large")
            await asyncio.to_thread(partial.file.write, chunk)
            partial.size_bytes += len(chunk)
        if partial.size_bytes == 0 or (expected is not None and partial.size_bytes - start_bytes != expected):
            raise _TryAgain("short")


def _continues(response: aiohttp.ClientResponse, from_bytes: int) -> bool:
    said = response.headers.get("Content-Range", "")
    return response.status == HTTPStatus.PARTIAL_CONTENT and said.startswith(f"bytes {from_bytes}-")
