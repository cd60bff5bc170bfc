"""What fal's error answers mean: every documented shape to a leaf of `core.domain.errors`. Pure.

Shapes (facts of 2026-11-22, fal's errors and request-errors pages): model errors carry a list in `detail`, branch on
`type`; request errors are flat with `error_type`; keys and credit are a string in `detail`; the platform API has an
`error` object. `input` and `msg` may echo what the member sent and are never kept.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Literal

from core.domain import errors
from core.domain.models import MODELS
from core.domain.money import MAX_BILLED_UNITS, UNREADABLE_UNITS, bounded_number
from core.upscalers.fal.json_answer import LARGEST_NUMBER, dig, whole

CONTENT_TYPES = frozenset({"content_policy_violation", "nsfw_content_detected", "content_blocked"})
_CONTENT_PHRASES = re.compile(
    r"\bcontent (?:was |is )?(?:blocked|rejected|filtered|flagged)\b|\bcontent (?:policy|moderation)\b"
    r"|\bnsfw content\b|\bsafety (?:checker|filter|system)\b"
)
_CREDIT_PHRASES = re.compile(
    r"^user is locked\b|\bexhausted balance\b|\binsufficient (?:balance|credits?|funds)\b|\btop up your balance\b"
)
_KEY_PHRASES = re.compile(
    r"^no user found for key id and secret\b|^invalid key authorization header format\b|^invalid (?:api )?key\b"
    r"|^authentication is required\b|\bkey (?:has been|was|is) (?:revoked|disabled|deleted)\b"
)
"""Whole phrases, as fal words them (facts of 2026-11-22, section 3): a word such as "locked" alone says nothing."""

_CREDIT_TYPES = frozenset({"user_locked", "exhausted_balance", "insufficient_balance", "payment_required"})
_KEY_TYPES = frozenset({"authentication_error", "authorization_error", "invalid_api_key"})
_PLATFORM_TYPES = _CREDIT_TYPES | _KEY_TYPES | {"server_error", "rate_limited", "not_found", "not_implemented"}
"""Types that fal itself gives, not a model: after these a result may still come."""

_TYPE = re.compile(r"[a-z][a-z0-9_.]{1,80}")
_NO_APPLICATION = re.compile(r"\bapplication\b.{0,120}\bnot found\b|\bapp(?:lication)? does not exist\b")
_MODEL_STATUSES = frozenset({413, 415, 422})
"""With words in a JSON body these are the model's own refusal, replayed; no gateway of fal's answers so."""

_LONGEST_WORDS = 500
_DEEPEST_SHAPE = 4

ImageReason = Literal["too_small", "too_large", "unreadable", "format", "download", "file_too_large", "no_media"]
IMAGE_TYPES: Mapping[str, ImageReason] = {
    "image_too_small": "too_small",
    "image_too_large": "too_large",
    "image_load_error": "unreadable",
    "face_detection_error": "unreadable",
    "unsupported_image_format": "format",
    "file_download_error": "download",
    "file_too_large": "file_too_large",
    "no_media_generated": "no_media",
}

RULES: Mapping[str, tuple[str, str]] = {
    "greater_than": ("gt", "> {}"),
    "greater_than_equal": ("ge", "≥ {}"),
    "less_than": ("lt", "< {}"),
    "less_than_equal": ("le", "≤ {}"),
    "multiple_of": ("multiple_of", "n × {}"),
    "one_of": ("expected", "{}"),
    "sequence_too_short": ("min_length", "≥ {}"),
    "sequence_too_long": ("max_length", "≤ {}"),
}
"""Documented validation types: the field of `ctx` that holds the limit, and how the rule reads in any language."""

OTHER_INPUT_TYPES = frozenset({"feature_not_supported", "missing", "extra_forbidden", "literal_error", "enum"})
INPUT_TYPE_ENDINGS = ("_type", "_parsing")

_CHAT_NAMES = {each.api_name: name for model in MODELS.known for name, each in model.inputs.items()} | {
    "image_url": "image"
}
_LONGEST_KIND = 64


def units_in(headers: Mapping[str, str]) -> Decimal | None:
    """X-Fal-Billable-Units as a number of megapixels; None where it is missing, UNREADABLE_UNITS where it is nonsense.

    Judged as text first: `Decimal` would take `1E+300000`, and seconds for it.
    """
    text = headers.get("X-Fal-Billable-Units", "")
    if not text or text.isspace():
        return None
    units = bounded_number(text)
    return UNREADABLE_UNITS if units is None or units > MAX_BILLED_UNITS else units


def bill_in(headers: Mapping[str, str], *, otherwise: bool | None) -> dict[str, Any]:
    """What an answer says of its bill, as facts of a ModelError; `otherwise` where it names no figure."""
    units = units_in(headers)
    return {"billed": otherwise if units is None else units != 0, "billed_units": units}


def halt_in(status: int, data: Any) -> errors.ProviderHalted | None:
    """The account-wide refusal that an answer to a submit, a token or a probe is, if it is one.

    By status where that leaves no doubt (401, 402), else by type or by a whole phrase. A model's own list of mistakes
    is none, whatever stands in it.
    """
    if status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN}:
        return None
    if isinstance(dig(data, "detail"), list):
        return None
    words, kind = words_in(data), _flat_kind(status, {}, data)
    if status == HTTPStatus.PAYMENT_REQUIRED or kind in _CREDIT_TYPES or _CREDIT_PHRASES.search(words):
        return errors.ProviderHalted(kind="credit")
    if status == HTTPStatus.UNAUTHORIZED or kind in _KEY_TYPES or _KEY_PHRASES.search(words):
        return errors.ProviderHalted(kind="key")
    return None


def is_named(status: int, headers: Mapping[str, str], data: Any) -> bool:
    """Whether a result's answer is the model's own error: it has a type, or says in words what only the model says."""
    if _main_entry(data) is not None or _typed(headers, data) is not None:
        return _flat_kind(status, headers, data) not in _PLATFORM_TYPES
    words = words_in(data)
    return bool(_CONTENT_PHRASES.search(words)) or (status in _MODEL_STATUSES and bool(words))


def error_in_status(data: Any) -> dict[str, Any] | None:
    """What a completed request's status says of its failure, as a request error's body; None where it says nothing."""
    kind, words = dig(data, "error_type"), dig(data, "error")
    if _is_type(kind):
        return {"error_type": kind, "detail": words if isinstance(words, str) else ""}
    return {"detail": words} if isinstance(words, str) and words else None


def model_error(status: int, headers: Mapping[str, str], data: Any) -> errors.ModelError:
    """The leaf for a failed request's answer; anything unknown is a `ModelFailed`."""
    # "Only successful outputs are billed; 5xx and queue time are free; 422 may be billed" (fal's pricing page).
    bill = bill_in(headers, otherwise=False if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None)
    entry = _main_entry(data)
    if entry is not None:
        return _from_entry(entry, bill)
    words = words_in(data)
    if status == HTTPStatus.NOT_FOUND and _NO_APPLICATION.search(words):
        return errors.ModelNotOffered(billed=False)
    kind = _flat_kind(status, headers, data)
    if kind in CONTENT_TYPES or _CONTENT_PHRASES.search(words):
        return errors.ContentRejected(**bill)
    return errors.ModelFailed(kind=kind, **bill)


def words_in(data: Any) -> str:
    """Whatever words for people an error body holds, in lower case, for matching whole phrases; never shown or kept."""
    found = [data] if isinstance(data, str) else []
    for part in _parts(data):
        found += [part[name] for name in ("detail", "error", "message", "msg") if isinstance(part.get(name), str)]
        found += [item for item in _list(part.get("detail")) if isinstance(item, str)]
    return " ".join(found)[:_LONGEST_WORDS].strip().lower()


def _parts(data: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Every object of an error body, the outermost first: `detail` and `error` may be objects, or lists of them."""
    if depth > _DEEPEST_SHAPE:
        return
    if isinstance(data, dict):
        yield data
        for name in ("detail", "error", "errors"):
            yield from _parts(data.get(name), depth + 1)
    for item in _list(data)[:20]:
        yield from _parts(item, depth + 1)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _main_entry(data: Any) -> Mapping[str, Any] | None:
    return next((part for part in _parts(data) if _is_type(part.get("type"))), None)


def _is_type(value: Any) -> bool:
    return isinstance(value, str) and _TYPE.fullmatch(value) is not None


def _typed(headers: Mapping[str, str], data: Any) -> str | None:
    kind = next((part["error_type"] for part in _parts(data) if _is_type(part.get("error_type"))), None)
    return kind or headers.get("X-Fal-Error-Type") or None


def _flat_kind(status: int, headers: Mapping[str, str], data: Any) -> str:
    entry = _main_entry(data)
    return _safe(str(entry["type"]) if entry is not None else _typed(headers, data) or f"http_{status}")


def _safe(kind: str) -> str:
    return "".join(c for c in kind if c.isascii() and (c.isalnum() or c in "_-"))[:_LONGEST_KIND] or "unknown"


def _from_entry(entry: Mapping[str, Any], bill: dict[str, Any]) -> errors.ModelError:
    kind = str(entry["type"])
    ctx = entry.get("ctx")
    if kind in CONTENT_TYPES:
        return errors.ContentRejected(**bill)
    if kind in IMAGE_TYPES:
        return errors.ImageRejected(
            reason=IMAGE_TYPES[kind],
            limit_width_px=whole(dig(ctx, "min_width") or dig(ctx, "max_width")),
            limit_height_px=whole(dig(ctx, "min_height") or dig(ctx, "max_height")),
            limit_bytes=whole(dig(ctx, "max_size")),
            **bill,
        )
    if kind in RULES or kind in OTHER_INPUT_TYPES or kind.endswith(INPUT_TYPE_ENDINGS):
        return errors.InvalidForModel(parameter=_parameter(entry.get("loc")), rule=_rule(kind, ctx), **bill)
    return errors.ModelFailed(kind=_safe(kind), **bill)


def _parameter(loc: Any) -> str:
    parts = [part for part in loc if isinstance(part, str)] if isinstance(loc, list) else []
    name = next((part for part in reversed(parts) if part in _CHAT_NAMES), None)
    return _CHAT_NAMES[name] if name is not None else _safe(parts[-1] if parts else "input")


def _rule(kind: str, ctx: Any) -> str:
    field, pattern = RULES.get(kind, ("", ""))
    limit = dig(ctx, field)
    if isinstance(limit, list):
        return ", ".join(str(item)[:20] for item in limit[:20])
    known = isinstance(limit, int | float) and abs(limit) <= LARGEST_NUMBER
    return pattern.format(f"{limit:g}") if known else ""
