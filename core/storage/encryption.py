"""Encryption at rest for everything that would let somebody act as the bot: reply addresses, links, platform tokens.

Fernet (AES-128-CBC with HMAC-SHA256, `cryptography`). The key is derived from SECRET_KEY, or from a random key file,
created on first use, readable by its owner only. Losing the key loses only what it protects, never money rows or the
proof that something was paid for. To change the key, set the new one and, for one start, the old one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from core.ports import NotUsable

KEY_BYTES = 48
MIN_KEY_CHARS = 32
"""A generated key has 64 characters; a file with fewer than this was cut short, or is not a key file."""


class KeyChanged(NotUsable):
    def __init__(self) -> None:
        super().__init__(
            "What is stored was encrypted under another SECRET_KEY: start with that one, or name it as SECRET_KEY_OLD "
            "once beside the new one, with every other process stopped, and everything is encrypted anew."
        )


class Vault:
    """Encrypts and decrypts JSON values. The key `old` decrypts, but no longer encrypts."""

    def __init__(self, secret: str, *, old: str | None = None) -> None:
        digests = [_derive(key) for key in (secret, old) if key is not None]
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(digest[:32])) for digest in digests])
        self.signing_key = digests[0][32:]
        self.fingerprints = tuple(hmac.digest(digest[32:], b"fingerprint", "sha256").hex()[:32] for digest in digests)
        """One of each key, the current one first: tells keys apart and reveals nothing of them."""

    @classmethod
    def open(cls, secret_key: str | None, data_dir: Path, *, old: str | None = None, shared: bool = False) -> Vault:
        """Use SECRET_KEY, or `data_dir/secret.key` (created with mode 0600) where none is set.

        Raises NotUsable where none is set and the database is `shared`, since a key file belongs to one machine.
        """
        if secret_key is None and shared:
            raise NotUsable(
                "DATABASE_URL names a PostgreSQL, which several machines can share: set SECRET_KEY, the same on all of "
                "them (where a key file was used until now, its content)."
            )
        if not secret_key:
            path = data_dir / "secret.key"
            if not path.exists():
                _write_whole(path, secrets.token_urlsafe(KEY_BYTES))
            secret_key = _read_key(path)
        return cls(secret_key, old=old)

    def encrypt(self, value: Any) -> str:
        return self._fernet.encrypt(json.dumps(value, separators=(",", ":")).encode()).decode()

    def can_decrypt(self, text: str) -> bool:
        try:
            self._fernet.decrypt(text.encode())
        except InvalidToken:
            return False
        return True

    def reencrypt(self, text: str) -> str:
        return self._fernet.rotate(text.encode()).decode()

    def decrypt(self, text: str) -> Any:
        """Decrypt a value; None where the key has changed since (the value is lost then, by design)."""
        try:
            return json.loads(self._fernet.decrypt(text.encode()))
        except (InvalidToken, ValueError):
            return None


def _derive(secret: str) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=b"upscale-bot/1", n=2**12, r=8, p=1, dklen=64)


def _read_key(path: Path) -> str:
    """Raises NotUsable for an empty or truncated key."""
    key = path.read_bytes().strip().decode("ascii", "replace")
    if len(key) < MIN_KEY_CHARS or not (key.isascii() and key.isprintable()):
        raise NotUsable(
            f"{path} is empty or cut short and is not used as a key; put back a copy of it, or delete it to have a new "
            "one made (stored Slack installations are lost then)."
        )
    return key


def _write_whole(path: Path, text: str) -> None:
    """Create a file with mode 0600 that appears under its name complete and on disk, or not at all.

    A file that another process created meanwhile is kept.
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
