"""The sandbox's requests and images on disk: one JSON file per request, replaced atomically.

Several processes may share one folder.
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
    """One request. Either `error` or `outputs` is set at its end. Times are unix seconds."""

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
    """Blocking; each call touches small files only."""

    def __init__(self, folder: Path) -> None:
        self._requests = folder / "requests"
        self._files = folder / "files"
        self._requests.mkdir(parents=True, exist_ok=True)
        self._files.mkdir(parents=True, exist_ok=True)

    def save(self, record: Record) -> None:
        path = self._path(record.request_id)
        fresh = path.with_suffix(f".{secrets.token_hex(4)}.tmp")
        fresh.write_text(json.dumps(asdict(record)))
        fresh.replace(path)

    def load(self, request_id: str) -> Record | None:
        try:
            return Record(**json.loads(self._path(request_id).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def all_records(self) -> list[Record]:
        found = [self.load(path.stem) for path in self._requests.glob("*.json")]
        return sorted((r for r in found if r is not None), key=lambda r: (r.created_at, r.request_id))

    def delete(self, record: Record) -> None:
        for address in (record.inputs.get("image_url"), (record.outputs or {}).get("image_url")):
            if (path := self.file_at(str(address))) is not None:
                path.unlink(missing_ok=True)
        for path in self._requests.glob(f"{record.request_id}.*"):  # 0.1.0 kept locks there too
            path.unlink(missing_ok=True)

    def _path(self, request_id: str) -> Path:
        return self._requests / (f"{request_id}.json" if request_id.isalnum() else "no-such-request.json")

    def new_file(self, stem: str, ending: str) -> tuple[str, Path]:
        name = f"{stem}-{secrets.token_hex(6)}.{ending}"
        return SCHEME + name, self._files / name

    def file_at(self, address: str) -> Path | None:
        """Return the path for one of our addresses, whether the file exists or not; None for any other address."""
        name = address.removeprefix(SCHEME)
        if name == address or name != os.path.basename(name) or not name:
            return None
        return self._files / name

    def sweep(self, before_at: float) -> None:
        """Delete requests that ended, or were created and left, before `before_at`, and files older than that."""
        for record in self.all_records():
            if (record.finished_at or record.created_at) < before_at:
                self.delete(record)
        for path in self._files.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process sweeps here too
                # A hard link keeps the mtime of its contents; its ctime is when it was linked.
                facts = path.stat()
                if max(facts.st_mtime, facts.st_ctime) < before_at:
                    path.unlink()
