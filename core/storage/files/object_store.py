"""An object store (S3 and what speaks like it, by obstore) for the pictures that every replica must be able to read.

Files are streamed to and from disk, large ones in parts. Names are the paths below the data directory.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from core.domain.errors import StorageUnavailable

_CHUNK_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 2
"""Of one file: sixteen megabytes of it in memory at most."""

_PATIENCE = timedelta(seconds=60)
_TRANSFER_S = 900.0
_KEYS_AT_ONCE = 500


class ObjectStore:
    """Files by name, at an address such as `s3://bucket/prefix`. Keys and endpoint: `config` or the environment.

    Every call raises StorageUnavailable where the store does not answer or refuses.
    """

    def __init__(self, url: str, config: Mapping[str, str]) -> None:
        """Raises ValueError for an address that is none of a store, or lacks something."""
        options: dict[str, Any] = {}
        if config.get("endpoint", "").startswith("http://"):
            options["allow_http"] = True
        retry: dict[str, Any] = {"max_retries": 8, "retry_timeout": _PATIENCE}
        try:
            self._store = from_url(url, config=dict(config), client_options=options, retry_config=retry)  # type: ignore[call-overload]
        except BaseError as error:
            raise ValueError(str(error)) from error

    async def put(self, name: str, path: Path) -> None:
        async with _answers():
            await obstore.put_async(self._store, name, path, chunk_size=_CHUNK_BYTES, max_concurrency=_PARTS_AT_ONCE)

    async def get(self, name: str, dest: Path) -> bool:
        """Stream the object to `dest`, which appears when it is whole; False where there is none."""
        part = dest.with_name(f"{dest.name}.{id(dest):x}.part")
        try:
            async with _answers():
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

    async def delete(self, name: str) -> None:
        with suppress(FileNotFoundError):
            async with _answers():
                await obstore.delete_async(self._store, name)

    async def delete_below(self, prefix: str, *, older_than: float | None = None) -> int:
        """Delete what lies below, older than this unix time if given; how many."""
        deleted = 0
        with suppress(FileNotFoundError):
            async with _answers():
                async for page in obstore.list(self._store, prefix, chunk_size=_KEYS_AT_ONCE):
                    names = [
                        item["path"]
                        for item in page
                        if older_than is None or item["last_modified"].timestamp() < older_than
                    ]
                    if names:
                        await obstore.delete_async(self._store, names)
                        deleted += len(names)
        return deleted


@asynccontextmanager
async def _answers() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_TRANSFER_S):
            yield
    except FileNotFoundError:  # one of obstore's own errors too
        raise
    except (BaseError, TimeoutError) as error:
        raise StorageUnavailable from error
