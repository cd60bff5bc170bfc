"""An object store (S3 and compatible ones, through obstore) for the pictures that every replica must be able to read.

Files are streamed to and from disk, large ones in parts. Object names are paths relative to the data directory.
"""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import from_url

from core.domain.errors import StorageUnavailable

_CHUNK_BYTES = 8 * 1024 * 1024
_MAX_CONCURRENT_PARTS = 2
"""Parts of one file: at most 16 MB of it in memory."""

_RETRY_TIMEOUT = timedelta(seconds=60)
_TRANSFER_TIMEOUT_S = 900.0
_PAGE_KEYS = 500

StoreState: TypeAlias = Literal["ok", "refuses", "no bucket", "away"]


class ObjectStore:
    """Files by name, at an address such as `s3://bucket/prefix`. Keys and endpoint: `config` or the environment.

    Every call raises StorageUnavailable if the store does not answer or refuses.
    """

    def __init__(self, url: str, config: Mapping[str, str]) -> None:
        """Raises ValueError for an address that is not a store's, or is incomplete."""
        options: dict[str, Any] = {}
        if config.get("endpoint", "").startswith("http://"):
            options["allow_http"] = True
        retry: dict[str, Any] = {"max_retries": 8, "retry_timeout": _RETRY_TIMEOUT}
        try:
            self._store = from_url(url, config=dict(config), client_options=options, retry_config=retry)  # type: ignore[call-overload]
        except BaseError as error:
            raise ValueError(str(error)) from error

    async def probe(self) -> StoreState:
        """Try whether it takes, gives and deletes a file."""
        name = f"probe-{secrets.token_hex(4)}"
        try:
            with tempfile.TemporaryDirectory() as folder:
                sent = Path(folder) / name
                sent.write_bytes(b"a probe")
                await self.put(name, sent)
                await self.get(name, sent)
                await self.delete(name)
        except StorageUnavailable as error:
            if isinstance(error.__cause__, (PermissionDeniedError, UnauthenticatedError)):
                return "refuses"
            return "no bucket" if isinstance(error.__cause__, FileNotFoundError) else "away"
        return "ok"

    async def put(self, name: str, path: Path) -> None:
        try:
            async with _translated_errors():
                await obstore.put_async(
                    self._store, name, path, chunk_size=_CHUNK_BYTES, max_concurrency=_MAX_CONCURRENT_PARTS
                )
        except FileNotFoundError as no_bucket:
            raise StorageUnavailable from no_bucket

    async def get(self, name: str, dest: Path) -> bool:
        """Stream the object to `dest`, which appears when it is complete; False if there is no such object."""
        part = dest.with_name(f"{dest.name}.{id(dest):x}.part")
        try:
            async with _translated_errors():
                found = await obstore.get_async(self._store, name)
                with part.open("wb") as file:
                    async for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
                        await asyncio.to_thread(file.write, chunk)
            part.replace(dest)
        except FileNotFoundError:
            return False
        finally:
            part.unlink(missing_ok=True)
        return True

    async def has(self, name: str) -> bool:
        with suppress(FileNotFoundError):
            async with _translated_errors():
                await obstore.head_async(self._store, name)
                return True
        return False

    async def delete(self, name: str) -> None:
        with suppress(FileNotFoundError):
            async with _translated_errors():
                await obstore.delete_async(self._store, name)

    async def delete_below(self, prefix: str, *, older_than: float = float("inf")) -> None:
        """Delete the objects below `prefix` that were last changed before this unix time."""
        with suppress(FileNotFoundError):
            async with _translated_errors():
                async for page in obstore.list(self._store, prefix, chunk_size=_PAGE_KEYS):
                    names = [item["path"] for item in page if item["last_modified"].timestamp() < older_than]
                    if names:
                        await obstore.delete_async(self._store, names)


@asynccontextmanager
async def _translated_errors() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_TRANSFER_TIMEOUT_S):
            yield
    except FileNotFoundError:  # obstore's error for a missing object is a subclass
        raise
    except (BaseError, TimeoutError) as error:
        raise StorageUnavailable from error
