"""The sandbox's requests and pictures on disk: one JSON file per request, replaced whole, never half-written.

Several processes may use one folder.
"""

import contextlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SCHEME = "sandbox://files/"


@dataclass(frozen=True)
class Record:
    """One request. `error` and `outputs` are set at its end, one of them. Times are unix seconds."""

    request_id: str
    job_id: str
    created_at: float
    inputs: dict[str, Any]
    finished_at: float | None = None
    error: dict[str, Any] | None = None
    outputs: dict[str, Any] | None = None
    model: str = "flux"

    @property
    def done(self) -> bool:
        return self.finished_at is not None


class RequestStore:
    """Blocking, but each call touches small files or one link: fit for a thread, and for start-up."""

    def __init__(self, folder: Path) -> None:
        self._requests = folder / "requests"
        self._files = folder / "files"
        self._requests.mkdir(parents=True, exist_ok=True)
        self._files.mkdir(parents=True, exist_ok=True)

    # -- requests --------------------------------------------------------------------------------------------

    def save(self, record: Record) -> None:
        path = self._path(record.request_id)
        fresh = path.with_suffix(f".{secrets.token_hex(4)}.tmp")
        fresh.write_text(json.dumps(asdict(record)))
        fresh.replace(path)

    def load(self, request_id: str) -> Record | None:
        """The request, or None where there is none (any more)."""
        try:
            return Record(**json.loads(self._path(request_id).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def everything(self) -> list[Record]:
        """All requests, oldest first."""
        found = [self.load(path.stem) for path in self._requests.glob("*.json")]
        return sorted((r for r in found if r is not None), key=lambda r: (r.created_at, r.request_id))

    def forget(self, record: Record) -> None:
        for address in (record.inputs.get("image_url"), (record.outputs or {}).get("image_url")):
            if (path := self.file_at(str(address))) is not None:
                path.unlink(missing_ok=True)
        for path in self._requests.glob(f"{record.request_id}.*"):  # 0.1.0 kept locks there too
            path.unlink(missing_ok=True)

    def _path(self, request_id: str) -> Path:
        return self._requests / (f"{request_id}.json" if request_id.isalnum() else "no-such-request.json")

    # -- pictures --------------------------------------------------------------------------------------------

    def new_file(self, stem: str, ending: str) -> tuple[str, Path]:
        name = f"{stem}-{secrets.token_hex(6)}.{ending}"
        return SCHEME + name, self._files / name

    def file_at(self, address: str) -> Path | None:
        """Where the file of an address of ours lies, present or not; None for any other address."""
        name = address.removeprefix(SCHEME)
        if name == address or name != os.path.basename(name) or not name:
            return None
        return self._files / name

    def sweep(self, before_at: float) -> None:
        """Delete what ended, or was made and left, before `before_at`, and files that no request needs any more."""
        for record in self.everything():
            if (record.finished_at or record.created_at) < before_at:
                self.forget(record)
        for path in self._files.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process sweeps here too
                # A linked file keeps the old time of its contents; the link itself is what ages here.
                facts = path.stat()
                if max(facts.st_mtime, facts.st_ctime) < before_at:
                    path.unlink()
