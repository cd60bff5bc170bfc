"""Encryption at rest for whatever could let somebody act as us: reply addresses, links, stored platform tokens.

Fernet (AES-128-CBC with HMAC-SHA256, `cryptography`), key derived from SECRET_KEY, or from a random key file that is
made on first use, readable by its owner alone. Losing the key loses only what it protects, never money rows.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken


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
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        key = secrets.token_urlsafe(48)
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key
