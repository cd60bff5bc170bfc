"""Configure logging: JSON for machines, coloured text for a terminal.

No line contains a key, a token, a link's path, a picture, or control characters of untrusted text. Lines of structlog
and of libraries that use `logging` get the same redaction. Libraries that log too much, or log addresses, get a higher
level.
"""

import logging
import re
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any, Literal

import structlog
from structlog.typing import Processor

from core.domain.untrusted_text import clean

_QUIET = {
    "aiohttp.access": logging.ERROR,
    "aiosqlite": logging.WARNING,
    "alembic": logging.WARNING,
    "asyncio": logging.WARNING,
    "discord": logging.WARNING,
    "fal_client": logging.WARNING,
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,
    "matplotlib": logging.WARNING,
    "PIL": logging.WARNING,
    "pyvips": logging.WARNING,
    "slack_bolt": logging.WARNING,
    "slack_sdk": logging.ERROR,
    "sqlalchemy": logging.WARNING,
    "websockets": logging.WARNING,
}
"""slack_sdk logs whole payloads below ERROR; aiohttp's access log contains query strings."""

_SECRET_NAMES = re.compile(
    r"(token|secret|authorization|password|passwd|api_?key|fal_key|signature|cookie|caption|content|image|body)$", re.I
)
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bhttps?://[^\s\"'<>]+", re.I), ""),
    (re.compile(r"\b(?:Bearer|Key|Bot|Basic)\s+[\w.~+/:=-]{8,}", re.I), "[secret]"),
    (re.compile(r"\bxox[a-z](?:-|\.)[\w.-]+|\bxapp-[\w-]+|\bxwfp-[\w-]+"), "[secret]"),
    (re.compile(r"\b[\w-]{23,28}\.[\w-]{6,7}\.[\w-]{27,}\b"), "[secret]"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}:[0-9a-f]{16,}\b", re.I), "[secret]"),
    (re.compile(r"\b(?:postgres(?:ql)?|mysql|redis|amqp)(?:\+\w+)?://[^\s\"']+", re.I), "[address]"),
    (re.compile(r"\bdata:image/[^\s\"']{16,}", re.I), "[image]"),
)
_MAX_TEXT_CHARS = 4000
_MAX_DEPTH = 6


def redact(value: Any, secrets: tuple[str, ...] = (), depth: int = 0) -> Any:
    """Remove secrets, bytes, and links except their `scheme://host`, at any depth; below six levels everything."""
    if isinstance(value, str):
        return _redact_text(value, secrets)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if depth >= _MAX_DEPTH:
        return "[…]"
    if isinstance(value, dict):
        return {key: _redact_named(str(key), item, secrets, depth) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, secrets, depth + 1) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _redact_text(str(value), secrets)


def _redact_named(name: str, value: Any, secrets: tuple[str, ...], depth: int) -> Any:
    if _SECRET_NAMES.search(name) and value not in (None, "", True, False):
        return "[removed]"
    return redact(value, secrets, depth + 1)


def _redact_text(text: str, secrets: tuple[str, ...]) -> str:
    whole_chars, text = len(text), clean(text, 2 * _MAX_TEXT_CHARS)
    for secret in secrets:
        text = text.replace(secret, "[secret]")
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead or _host_only, text)
    return text if max(len(text), whole_chars) <= _MAX_TEXT_CHARS else text[:_MAX_TEXT_CHARS] + "…"


def _host_only(match: re.Match[str]) -> str:
    """Keep scheme and host only, since paths of signed links are secrets too."""
    scheme, _, rest = match[0].partition("://")
    return f"{scheme}://{re.split('[/?#]', rest, maxsplit=1)[0].rpartition('@')[2]}/…"


def _redaction(secrets: Iterable[str]) -> Processor:
    """Make a structlog processor. `secrets` are values to remove wherever they occur."""
    known = tuple(sorted({secret for secret in secrets if len(secret) >= 8}, key=len, reverse=True))

    def process(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        own = event.items()
        return {key: value if key.startswith("_") else _redact_named(key, value, known, 0) for key, value in own}

    return process


def configure(
    level: str = "info",
    style: Literal["auto", "json", "pretty"] = "auto",
    secrets: Iterable[str] = (),
    stream: Any = None,
) -> None:
    """Write all log lines, ours and the libraries', to `stream` (standard error). `auto`: pretty on a terminal."""
    out = stream or sys.stderr
    pretty = style == "pretty" or (style == "auto" and out.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if pretty else "iso", utc=not pretty),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _redaction(secrets),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=out.isatty()) if pretty else structlog.processors.JSONRenderer(default=str)
    )
    handler = logging.StreamHandler(out)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, renderer], logger=None)
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(max(quiet, logging.getLevelName(level.upper())))
