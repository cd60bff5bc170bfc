"""Encryption at rest for whatever could let somebody act as us: reply addresses, links, stored platform tokens.

Fernet (AES-128-CBC with HMAC-SHA256, `cryptography`), key derived from SECRET_KEY, or from a random key file that is
made on first use, readable by its owner alone. Losing the key loses only what it protects, never money rows.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

KEY_BYTES = 48
MIN_KEY_CHARS = 32
"""What is made has 64 characters; a file with less than this was cut short, or is not ours."""


class KeyFileUnusable(Exception):
    """The key file is empty or too short; the text is one sentence for the operator."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is empty or cut short and is not used as a key; put back a copy of it, or delete it to have a "
            "new one made (stored Slack installations are lost then)."
        )


class Vault:
    """Seals JSON values to text and opens them again; also signs links."""

    def __init__(self, secret: str) -> None:
        digest = hashlib.scrypt(secret.encode(), salt=b"upscale-bot/1", n=2**12, r=8, p=1, dklen=64)
        self._fernet = Fernet(base64.urlsafe_b64encode(digest[:32]))
        self.signing_key = digest[32:]

    @classmethod
    def open(cls, secret_key: str | None, data_dir: Path) -> Vault:
        """A vault under SECRET_KEY, or under `data_dir/secret.key` (created, mode 0600) where none is set."""
        return cls(secret_key or _key_file(data_dir / "secret.key"))

    def seal(self, value: Any) -> str:
        """Encrypted JSON."""
        return self._fernet.encrypt(json.dumps(value, separators=(",", ":")).encode()).decode()

    def unseal(self, text: str) -> Any:
        """The value again, or None where the key has changed since (the value is lost then, by design)."""
        try:
            return json.loads(self._fernet.decrypt(text.encode()))
        except (InvalidToken, ValueError):
            return None


def _key_file(path: Path) -> str:
    """The key in `path`, made first where there is none. Raises KeyFileUnusable for an empty or short one."""
    with contextlib.suppress(FileNotFoundError):
        return _read_key(path)
    _write_whole(path, secrets.token_urlsafe(KEY_BYTES))
    return _read_key(path)


def _read_key(path: Path) -> str:
    key = path.read_bytes().strip().decode("ascii", "replace")
    if len(key) < MIN_KEY_CHARS or not (key.isascii() and key.isprintable()):
        raise KeyFileUnusable(path)
    return key


def _write_whole(path: Path, text: str) -> None:
    """Write a new file, mode 0600, that appears under its name complete and on disk, or not at all.

    A file that another process put there meanwhile is left as it is.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}.new")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
        except OSError:  # a file system without hard links
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
