"""The server: put, get with ranges, head, delete (one and many), list, and uploads in parts. Path-style addresses."""

import hashlib
import secrets
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Self
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.emulators.s3.signature import problem
from tests.served import served

ACCESS_KEY, SECRET_KEY = "AKIAEMULATED", "an emulated secret"
BUCKET = "pictures"
BODY = web.RequestKey("body", Path)
_PAGE = 3
"""Small, so that a listing has several pages."""

_LEAST_PART = 5 * 1024 * 1024


class S3Emulator:
    """Use as `async with`. `away`: every request is answered 503."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._uploads: dict[str, tuple[str, dict[int, Path]]] = {}
        self.calls: Counter[str] = Counter()
        self.violations: list[str] = []
        self.away = False

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", f"/{BUCKET}", self._bucket)
        app.router.add_route("*", f"/{BUCKET}/{{key:.+}}", self._object)
        app.middlewares.append(self._checked)
        self._serving = served(app)
        self.url = await self._serving.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._serving.__aexit__(None, None, None)

    def env(self, prefix: str = "bot") -> dict[str, str]:
        """The bot's settings for this store."""
        return {
            "FILES_URL": f"s3://{BUCKET}/{prefix}", "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_REGION": "eu-central-1", "AWS_ENDPOINT_URL": self.url,
        }  # fmt: skip

    @property
    def keys(self) -> list[str]:
        """Names of all objects, sorted."""
        root = self._folder / "objects"
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())

    @web.middleware
    async def _checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.away:
            return web.Response(status=503, text="<Error><Code>SlowDown</Code></Error>")
        wrong = problem(request, ACCESS_KEY, SECRET_KEY)
        if wrong:
            self.violations.append(f"{wrong}: {request.method} {request.rel_url}")
            return _error(403, wrong)
        body = await _received(request, self._folder)
        request[BODY] = body
        try:
            stated = request.headers.get("x-amz-content-sha256", "")
            if stated not in ("UNSIGNED-PAYLOAD", _sha256(body)):
                return _error(400, "XAmzContentSHA256Mismatch")
            return await handler(request)
        finally:
            body.unlink(missing_ok=True)

    async def _bucket(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST" and "delete" in request.query:
            return self._delete_many(request[BODY])
        if request.method == "GET" and request.query.get("list-type") == "2":
            return self._list(request)
        return _error(405, "MethodNotAllowed")

    def _delete_many(self, body: Path) -> web.Response:
        self.calls["delete"] += 1
        deleted = []
        for item in ElementTree.parse(body).getroot().iter():
            if item.tag.endswith("Key") and item.text:
                self._path(item.text).unlink(missing_ok=True)
                deleted.append(f"<Deleted><Key>{escape(item.text)}</Key></Deleted>")
        return _xml(f"<DeleteResult>{''.join(deleted)}</DeleteResult>")

    def _list(self, request: web.Request) -> web.Response:
        self.calls["list"] += 1
        prefix, after = request.query.get("prefix", ""), request.query.get("continuation-token", "")
        found = [key for key in self.keys if key.startswith(prefix) and key > after]
        page = found[:_PAGE]
        more = len(found) > len(page)
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{_modified(self._path(key))}</LastModified>"
            f"<ETag>{_etag(self._path(key))}</ETag><Size>{self._path(key).stat().st_size}</Size></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        return _xml(
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated><KeyCount>{len(page)}</KeyCount>"
            f"{token}{entries}</ListBucketResult>"
        )

    async def _object(self, request: web.Request) -> web.StreamResponse:
        key, query = request.match_info["key"], request.query
        match request.method:
            case "PUT" if "uploadId" in query:
                return self._part(query["uploadId"], int(query["partNumber"]), request[BODY])
            case "PUT":
                self.calls["put"] += 1
                self._store(key, request[BODY])
                return web.Response(headers={"ETag": _etag(self._path(key))})
            case "POST" if "uploads" in query:
                self._uploads[name := secrets.token_hex(8)] = (key, {})
                return _xml(
                    f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
                )
            case "POST" if "uploadId" in query:
                return self._complete(key, query["uploadId"])
            case "DELETE" if "uploadId" in query:
                self._uploads.pop(query["uploadId"], None)
                return web.Response(status=204)
            case "DELETE":
                self.calls["delete"] += 1
                self._path(key).unlink(missing_ok=True)
                return web.Response(status=204)
            case "GET" | "HEAD":
                self.calls["get"] += 1
                path = self._path(key)
                if not path.is_file():
                    return _error(404, "NoSuchKey")
                return web.FileResponse(path, headers={"ETag": _etag(path)})  # ranges are aiohttp's
        return _error(405, "MethodNotAllowed")

    def _part(self, upload: str, number: int, body: Path) -> web.Response:
        self.calls["part"] += 1
        kept = self._folder / f"{upload}-{number}"
        shutil.copyfile(body, kept)
        self._uploads[upload][1][number] = kept
        return web.Response(headers={"ETag": _etag(kept)})

    def _complete(self, key: str, upload: str) -> web.Response:
        _, parts = self._uploads.pop(upload)
        ordered = [parts[number] for number in sorted(parts)]
        if any(part.stat().st_size < _LEAST_PART for part in ordered[:-1]):
            return _error(400, "EntityTooSmall")
        whole = self._folder / upload
        with whole.open("wb") as out:
            for part in ordered:
                with part.open("rb") as file:
                    shutil.copyfileobj(file, out)
                part.unlink()
        self._store(key, whole)
        whole.unlink()
        return _xml(
            f"<CompleteMultipartUploadResult><ETag>{_etag(self._path(key))}</ETag></CompleteMultipartUploadResult>"
        )

    def _store(self, key: str, body: Path) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(body, path)

    def _path(self, key: str) -> Path:
        path = (self._folder / "objects" / key).resolve()
        assert path.is_relative_to((self._folder / "objects").resolve())
        return path


async def _received(request: web.Request, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"body-{secrets.token_hex(8)}"
    with path.open("wb") as file:
        async for chunk in request.content.iter_chunked(1 << 16):
            file.write(chunk)
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _etag(path: Path) -> str:
    return f'"{_sha256(path)[:32]}"'


def _modified(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _xml(text: str) -> web.Response:
    return web.Response(text=f'<?xml version="1.0" encoding="UTF-8"?>{text}', content_type="application/xml")


def _error(status: int, code: str) -> web.Response:
    text = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return web.Response(status=status, text=text, content_type="application/xml")
