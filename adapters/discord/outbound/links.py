"""What a signed address of Discord's CDN says about itself. Pure."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit


def expiry_of(url: str) -> float | None:
    """When the address stops working (unix seconds, its `ex` parameter in hexadecimal); None if it does not say."""
    values = parse_qs(urlsplit(url).query).get("ex")
    try:
        return float(int(values[0], 16)) if values else None
    except ValueError:
        return None
