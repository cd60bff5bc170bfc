"""What a signed address of Discord's CDN says about itself. Pure."""

from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

REDUCING = frozenset({"width", "height", "format", "quality", "size", "animated"})
"""What Discord's viewer adds to an address to get a reduced or re-encoded picture."""

ORIGINALS, REDUCED = "cdn.discordapp.com", "media.discordapp.net"


ATTACHMENTS = ("/attachments/", "/ephemeral-attachments/")


def expiry_of(url: str) -> float | None:
    """When the address stops working (unix seconds, its `ex` parameter in hexadecimal); None if it does not say.

    0 for a file's bare address, as people keep it in notes: Discord serves signed ones only.
    """
    try:
        parts = urlsplit(url)
        values = parse_qs(parts.query).get("ex")
        if values:
            return float(int(values[0], 16))
        return 0.0 if host_of(url) in (ORIGINALS, REDUCED) and parts.path.startswith(ATTACHMENTS) else None
    except ValueError:
        return None


def host_of(url: str) -> str:
    """The host of an address, lower case; empty for one that is none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def name_of(url: str) -> str:
    """The last part of an address's path as people read it; `image` where there is none."""
    try:
        return unquote(urlsplit(url).path.rsplit("/", 1)[-1]) or "image"
    except ValueError:
        return "image"


def original_of(url: str) -> str:
    """The address of the whole file, for one that Discord's viewer shows reduced; others as they are."""
    if host_of(url) not in (ORIGINALS, REDUCED):
        return url
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name not in REDUCING]
    host = ORIGINALS if parts.path.startswith(ATTACHMENTS) else parts.netloc
    return urlunsplit(parts._replace(netloc=host, query=urlencode(kept)))
