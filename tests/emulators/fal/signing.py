"""The emulated fal's own Ed25519 key: signs webhooks, publishes the key as a JWKS."""

import base64
import hashlib
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class Signer:
    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()

    def jwks(self) -> dict[str, Any]:
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "emulated", "use": "sig", "x": x}]}

    def headers(self, request_id: str, user_id: str, body: bytes, *, at_s: float | None = None) -> dict[str, str]:
        """The four webhook headers over `body`, signed at `at_s` (unix seconds; now by default)."""
        stamp = str(int(time.time() if at_s is None else at_s))
        signed = "\n".join([request_id, user_id, stamp, hashlib.sha256(body).hexdigest()])
        return {
            "X-Fal-Webhook-Request-Id": request_id,
            "X-Fal-Webhook-User-Id": user_id,
            "X-Fal-Webhook-Timestamp": stamp,
            "X-Fal-Webhook-Signature": self._key.sign(signed.encode()).hex(),
            "Content-Type": "application/json",
        }
