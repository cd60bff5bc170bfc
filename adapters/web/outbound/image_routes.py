"""Serves a job's pictures: result, source, preview, comparison, tiles; and several results as a ZIP made on the fly."""

import asyncio
import contextlib
import time
import zipfile
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from adapters.web.connection.security import Denied, Handler, harden
from adapters.web.inbound.translate import number_in
from adapters.web.views.card import file_name
from core.domain.errors import InvalidParameters, ResultExpired, TooLate
from core.domain.job import Job
from core.domain.media_types import saved_formats, suffix_for
from core.images.renditions import JobMedia
from core.net.file_response import FileResponse
from core.net.file_sink import open_file
from core.ports import MediaFile, PictureOf

PREVIEW_SIDE_PX = 2_560
PREVIEW_MAX_BYTES = 4_000_000
THUMB_SIDE_PX = 192
THUMB_MAX_BYTES = 100_000
SAVED_QUALITY = 90
ZIP_NAME = "upscaled.zip"
NOT_READY = "The picture is not ready yet."
NO_TILE = "There is no such tile of this picture."

_INLINE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif", "image/avif"})


class JobFiles:
    def __init__(self, media: JobMedia) -> None:
        self._media = media
        reduced = partial(media.preview, max_side_px=PREVIEW_SIDE_PX, max_bytes=PREVIEW_MAX_BYTES)
        self._renditions: dict[str, Callable[[Job], Awaitable[MediaFile]]] = {
            "image": media.original,
            "source": media.source,
            "compare": media.compare,
            "preview": reduced,
            "thumb": partial(media.preview, max_side_px=THUMB_SIDE_PX, max_bytes=THUMB_MAX_BYTES),
            "source-preview": partial(reduced, of="source"),
        }

    def routes(
        self,
        base: str,
        find: Callable[[web.Request], Awaitable[Job]],
        names: Iterable[str] = (),
        *,
        stem: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> list[web.RouteDef]:
        """GET routes below `base` for these files (default: all) and the tiles of the job that `find` returns."""

        def handler(name: str) -> Handler:
            async def respond(request: web.Request) -> web.StreamResponse:
                job = await find(request)
                response = await (self._tile(request, job) if name == "tile" else self._file(request, job, name, stem))
                response.headers.update(headers or {})
                return response

            return respond

        return [web.get(f"{base}/{name}", handler(name)) for name in (*(names or self._renditions), "tile")]

    async def _file(self, request: web.Request, job: Job, name: str, stem: str) -> web.StreamResponse:
        """The file with its real type; `stem` replaces its name. Raises TooLate or ResultExpired."""
        _check_available(job, of_source=name.startswith("source"))
        wanted = request.query.get("as", "") if name == "image" and not stem else ""
        file = await (self._converted(request, job, wanted) if wanted else self._renditions[name](job))
        if not file.path.is_file():
            raise ResultExpired
        return _file_response(request, file, job, name, stem)

    async def _tile(self, request: web.Request, job: Job) -> web.StreamResponse:
        """One tile: `?of=result|source`, `halved=` the number of times the sides are halved, column `x`, row `y`."""
        of: PictureOf = "source" if request.query.get("of") == "source" else "result"
        _check_available(job, of_source=of == "source")
        at = [int(number_in(request.query.get(name), name, 0, 9_999)) for name in ("halved", "x", "y")]
        tiles = await self._media.tiles(job, of=of)
        path = await asyncio.to_thread(tiles.tile, *at)
        if path is None:
            raise Denied(404, "no_tile", NO_TILE)
        response = FileResponse(path)
        response.content_type = tiles.mime
        response.headers["Cache-Control"] = "private, max-age=3600"
        return response

    async def _converted(self, request: web.Request, job: Job, wanted: str) -> MediaFile:
        """`?as=png|jpeg|webp`, with `quality=1…100`. Raises InvalidParameters."""
        assert job.result is not None
        possible = saved_formats(job.result.width_px, job.result.height_px)
        saved_as = next((one for one in possible if one == wanted), None)
        if saved_as is None:
            raise InvalidParameters.of("as", wanted, "range", ", ".join(possible))
        quality = number_in(request.query.get("quality", SAVED_QUALITY), "quality", 1, 100)
        return await self._media.converted(job, saved_as=saved_as, quality=int(quality))

    async def zip(self, request: web.Request, jobs: Sequence[Job]) -> web.StreamResponse:
        """The available results of these jobs in one file. Raises ResultExpired if there is none."""
        kept: list[tuple[Job, MediaFile]] = []
        for job in jobs:
            with contextlib.suppress(ResultExpired, TooLate, Denied):
                _check_available(job, of_source=False)
                kept.append((job, await self._media.original(job)))
        if not kept:
            raise ResultExpired
        response = web.StreamResponse(headers={"Content-Disposition": disposition("attachment", ZIP_NAME)})
        response.content_type = "application/zip"
        harden(response)
        await response.prepare(request)
        names = distinct([file_name(job) for job, _ in kept])
        await send_zip(response, [(file.path, name) for (_, file), name in zip(kept, names, strict=True)])
        await response.write_eof()
        return response


def _check_available(job: Job, *, of_source: bool) -> None:
    if job.images_deleted:
        raise TooLate(state="images_deleted")
    if not of_source and not job.has_image:
        raise TooLate(state=str(job.state)) if job.state.terminal else Denied(409, "not_ready", NOT_READY, 2)


def _file_response(request: web.Request, file: MediaFile, job: Job, name: str, stem: str) -> web.StreamResponse:
    inline = file.mime in _INLINE_TYPES
    download = request.query.get("download") in {"1", "true"} or not inline
    response = FileResponse(file.path)
    # FileResponse would guess the type from the file's name; ours was read from the bytes.
    response.content_type = file.mime if inline else "application/octet-stream"
    response.headers["Cache-Control"] = "private, max-age=3600"
    base = file_name(job, stem).rpartition(".")[0] if name == "image" else f"{job.id}-{name}"
    saved_as = base + suffix_for(file.mime)
    response.headers["Content-Disposition"] = disposition("attachment" if download else "inline", saved_as)
    return response


def disposition(kind: str, name: str) -> str:
    """`Content-Disposition` with an ASCII name for old clients and the real one (RFC 6266)."""
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "-_.") else "_" for char in name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


_CHUNK_BYTES = 256 * 1024


class _Outgoing(bytearray):
    """An unseekable buffer for ZipFile, which then writes sizes after each file (data descriptors)."""

    def write(self, data: bytes) -> int:
        self.extend(data)
        return len(data)

    def flush(self) -> None:
        pass

    close = flush

    def take(self) -> bytes:
        data = bytes(self)
        self.clear()
        return data


async def send_zip(response: web.StreamResponse, files: Sequence[tuple[Path, str]]) -> None:
    """Write the files under these names to a prepared response, uncompressed, because pictures already are."""
    outgoing = _Outgoing()
    with zipfile.ZipFile(outgoing, "w", zipfile.ZIP_STORED) as archive:
        for path, name in files:
            facts = await asyncio.to_thread(path.stat)
            entry = zipfile.ZipInfo(name, time.localtime(facts.st_mtime)[:6])
            entry.file_size = facts.st_size
            with await open_file(path, "rb") as source, archive.open(entry, "w") as target:
                while chunk := await asyncio.to_thread(source.read, _CHUNK_BYTES):
                    target.write(chunk)
                    await response.write(outgoing.take())
    await response.write(outgoing.take())


def distinct(names: Sequence[str]) -> list[str]:
    """The names, with a number for repeated ones: `a.png`, `a (2).png`."""
    seen: dict[str, int] = {}
    numbered = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        stem, dot, suffix = name.rpartition(".")
        numbered.append(name if seen[name] == 1 else f"{stem} ({seen[name]}){dot}{suffix}")
    return numbered
