"""Explain mistakes in the settings, one sentence per variable. Shows no value that might be a secret."""

import codecs
import difflib
import io
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from core.net.host_check import is_loopback
from core.ports import NotUsable

_PLAINER = {
    r"^\w+ ?\w* should ": "must ",
    ", unable to .*|'": "",
    r"have at least (\d+) .*": r"be at least \1 characters long",
    "a valid boolean": "1 or 0",
    "a valid integer": "a whole number",
    "a valid decimal": "a number, such as 5 or 0.25",
    "a (valid|finite) number": "a number",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
}
"""Pydantic's phrases as regular expressions, and ours."""
_OURS = ("FAL_", "DISCORD_", "SLACK_", "LIMIT_", "UPSCALE_")


class SettingsError(NotUsable):
    """The settings cannot be used. `problems` are sentences for the operator, without secrets."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def explain(error: ValidationError, kind: type[BaseModel]) -> list[str]:
    return [_sentence(detail, kind) for detail in error.errors(include_url=False)]


def misspelt(written: Iterable[str], in_file: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """Return a warning for each unknown name that looks like a known one, and for each name twice in `.env`."""
    warnings = []
    for name in written:
        close = difflib.get_close_matches(name, known, n=5, cutoff=0.7) if name not in known else []
        likeness, nearest = max(((_likeness(name, other), other) for other in close), default=(0, ""))
        if likeness >= 0.8:
            warnings.append(f"{name} is not a setting and is ignored; did you mean {nearest}?")
        elif name in in_file and name not in known and name.startswith(_OURS):
            warnings.append(f"{name} is not a setting and is ignored.")
    doubled = [name for name in dict.fromkeys(in_file) if in_file.count(name) > 1]
    return (*warnings, *(f"{name} is set more than once in .env; the last line counts." for name in doubled))


def _likeness(written: str, known: str) -> float:
    """Similarity of letters, higher if one name is a shortened form of the other: QUOTA_TZ, FAL_API_KEY.

    Nothing where the first words differ: WEB_CONCURRENCY is a hoster's own variable, not FAL_CONCURRENCY.
    """
    if difflib.SequenceMatcher(None, written.partition("_")[0], known.partition("_")[0]).ratio() < 0.5:
        return 0
    short, long = sorted((written, known), key=len)
    rest = iter(long)
    return difflib.SequenceMatcher(None, written, known).ratio() + 0.1 * all(letter in rest for letter in short)


def encoding_of(env_file: Path | str | None) -> str:
    """Return UTF-16 if the file begins with its byte order mark, as PowerShell writes it, else UTF-8."""
    if not env_file or not Path(env_file).is_file():
        return "utf-8"
    with Path(env_file).open("rb") as file:
        return "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8"


def lines_of(env_file: Path | str | None) -> tuple[list[str], list[str]]:
    """Return a sentence for each line of `.env` that is neither NAME=value nor a comment, and the names as written."""
    if not env_file or not Path(env_file).is_file():
        return [], []
    path = Path(env_file)
    try:
        text = path.read_text(encoding_of(path))
        if "\0" in text:
            raise UnicodeError
        lines = list(parse_stream(io.StringIO(text)))
    except UnicodeError:
        return [f"{path.name} is not text in UTF-8; save it as UTF-8."], []
    except OSError as error:
        return [f"{path.name} cannot be read: {error.strerror}."], []
    wrong = [line.original.line for line in lines if line.error]
    problems = [f"Line {at} of {path.name} cannot be read; write NAME=value, or # before a remark." for at in wrong]
    return problems, [line.key.upper() for line in lines if line.key]


def plaintext_urls(models: Iterable[Any]) -> tuple[str, ...]:
    """Return a warning for each service on another machine to which keys would be sent over plain http."""
    warnings = []
    for model in models:
        for name, value in vars(model).items():
            if not name.endswith("_url") or name == "public_url" or not isinstance(value, str):
                continue
            parts = urlsplit(value)
            if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
                warnings.append(
                    f"{name.upper()} is plain http: keys and images can be read on their way to "
                    f"{parts.hostname}; use https://."
                )
    return tuple(warnings)


def _sentence(detail: ErrorDetails, kind: type[BaseModel]) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:
        return message if message.endswith(".") else f"{message}."
    field = str(detail["loc"][0])
    name = field.upper()
    if detail["type"] in ("value_error", "assertion_error"):
        own = message.startswith(name)
        return f"{message if own else f'{name} {message}'}".rstrip(".") + "."
    for theirs, ours in _PLAINER.items():
        message = re.sub(theirs, ours, message)
    return f"{name} {message}{_given(detail, kind, field)}."


def _given(detail: ErrorDetails, kind: type[BaseModel], field: str) -> str:
    """Quote the value, unless it could be or contain a secret."""
    shown = str(detail.get("input", ""))
    info = kind.model_fields.get(field)
    harmless = info is not None and not _is_secret(info.annotation) and "://" not in shown
    return f", not “{shown[:60]}”" if harmless and shown else ""


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_is_secret(part) for part in get_args(annotation))
