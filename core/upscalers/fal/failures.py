"""Maps fal's error responses to `core.domain.errors`. Pure.

Shapes (facts of 2026-11-22, fal's errors and request-errors pages): model errors have a list in `detail` with a `type`
each; request errors are flat with `error_type`; key and credit errors are a string in `detail`; the platform API has an
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
from core.upscalers.fal.json_answer import MAX_NUMBER, dig, whole_number

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
"""Whole phrases of fal (facts of 2026-11-22, section 3): a single word such as "locked" proves nothing."""

_CREDIT_TYPES = frozenset({"user_locked", "exhausted_balance", "insufficient_balance", "payment_required"})
_KEY_TYPES = frozenset({"authentication_error", "authorization_error", "invalid_api_key"})
_PLATFORM_TYPES = _CREDIT_TYPES | _KEY_TYPES | {"server_error", "rate_limited", "not_found", "not_implemented"}
"""Types of fal itself, not of a model: the result may still become available."""

_TYPE = re.compile(r"[a-z][a-z0-9_.]{1,80}")
_NO_APPLICATION = re.compile(r"\bapplication\b.{0,120}\bnot found\b|\bapp(?:lication)? does not exist\b")
_MODEL_STATUSES = frozenset({413, 415, 422})
"""With a message in a JSON body, these are the model's own refusal, replayed; fal's gateways never answer so."""

_MAX_MESSAGE_CHARS = 500
_MAX_DEPTH = 4

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
"""Documented validation types: the field of `ctx` that holds the limit, and a language-neutral text of the rule."""

OTHER_INPUT_TYPES = frozenset({"feature_not_supported", "missing", "extra_forbidden", "literal_error", "enum"})
INPUT_TYPE_ENDINGS = ("_type", "_parsing")

_CHAT_NAMES = {each.api_name: name for model in MODELS.known for name, each in model.inputs.items()} | {
    "image_url": "image"
}
_MAX_KIND_CHARS = 64


def billed_units(headers: Mapping[str, str]) -> Decimal | None:
    """Parse X-Fal-Billable-Units as megapixels: None if missing, UNREADABLE_UNITS if invalid.

    Checked as text first: `Decimal` accepts `1E+300000` and takes seconds for it.
    """
    text = headers.get("X-Fal-Billable-Units", "")
    if not text or text.isspace():
        return None
    units = bounded_number(text)
    return UNREADABLE_UNITS if units is None or units > MAX_BILLED_UNITS else units


def billing_facts(headers: Mapping[str, str], *, otherwise: bool | None) -> dict[str, Any]:
    """Return the billing fields of a ModelError; `billed` is `otherwise` if the response has no figure."""
    units = billed_units(headers)
    return {"billed": otherwise if units is None else units != 0, "billed_units": units}


def account_halt(status: int, data: Any) -> errors.ProviderHalted | None:
    """Return the account-wide refusal in the response to a submit, token request or probe, or None.

    Recognised by status (401, 402), else by type or by a whole phrase. A model's list of errors is never one.
    """
    if status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN}:
        return None
    if isinstance(dig(data, "detail"), list):
        return None
    words, kind = message_text(data), _error_kind(status, {}, data)
    if status == HTTPStatus.PAYMENT_REQUIRED or kind in _CREDIT_TYPES or _CREDIT_PHRASES.search(words):
        return errors.ProviderHalted(kind="credit")
    if status == HTTPStatus.UNAUTHORIZED or kind in _KEY_TYPES or _KEY_PHRASES.search(words):
        return errors.ProviderHalted(kind="key")
    return None


def is_model_error(status: int, headers: Mapping[str, str], data: Any) -> bool:
    """Whether a result response is the model's own error: it has a model's type, or a message that only models send."""
    if _typed_entry(data) is not None or _error_type(headers, data) is not None:
        return _error_kind(status, headers, data) not in _PLATFORM_TYPES
    words = message_text(data)
    return bool(_CONTENT_PHRASES.search(words)) or (status in _MODEL_STATUSES and bool(words))


def error_in_status(data: Any) -> dict[str, Any] | None:
    """Return the error in a completed request's status as the body of a request error, or None."""
    kind, words = dig(data, "error_type"), dig(data, "error")
    if _is_type(kind):
        return {"error_type": kind, "detail": words if isinstance(words, str) else ""}
    return {"detail": words} if isinstance(words, str) and words else None


def model_error(status: int, headers: Mapping[str, str], data: Any) -> errors.ModelError:
    """Map a failed request's response to an error; anything unknown is a `ModelFailed`."""
    # "Only successful outputs are billed; 5xx and queue time are free; 422 may be billed" (fal's pricing page).
    bill = billing_facts(headers, otherwise=False if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None)
    entry = _typed_entry(data)
    if entry is not None:
        return _from_entry(entry, bill)
    words = message_text(data)
    if status == HTTPStatus.NOT_FOUND and _NO_APPLICATION.search(words):
        return errors.ModelNotOffered(billed=False)
    kind = _error_kind(status, headers, data)
    if kind in CONTENT_TYPES or _CONTENT_PHRASES.search(words):
        return errors.ContentRejected(**bill)
    return errors.ModelFailed(kind=kind, **bill)


def message_text(data: Any) -> str:
    """Join all messages of an error body in lower case, for matching phrases; never displayed or stored."""
    found = [data] if isinstance(data, str) else []
    for part in _error_objects(data):
        found += [part[name] for name in ("detail", "error", "message", "msg") if isinstance(part.get(name), str)]
        found += [item for item in _list(part.get("detail")) if isinstance(item, str)]
    return " ".join(found)[:_MAX_MESSAGE_CHARS].strip().lower()


def _error_objects(data: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Every object of an error body, outermost first: `detail` and `error` may be objects, or lists of them."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(data, dict):
        yield data
        for name in ("detail", "error", "errors"):
            yield from _error_objects(data.get(name), depth + 1)
    for item in _list(data)[:20]:
        yield from _error_objects(item, depth + 1)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _typed_entry(data: Any) -> Mapping[str, Any] | None:
    return next((part for part in _error_objects(data) if _is_type(part.get("type"))), None)


def _is_type(value: Any) -> bool:
    return isinstance(value, str) and _TYPE.fullmatch(value) is not None


def _error_type(headers: Mapping[str, str], data: Any) -> str | None:
    kind = next((part["error_type"] for part in _error_objects(data) if _is_type(part.get("error_type"))), None)
    return kind or headers.get("X-Fal-Error-Type") or None


def _error_kind(status: int, headers: Mapping[str, str], data: Any) -> str:
    entry = _typed_entry(data)
    return _sanitised(str(entry["type"]) if entry is not None else _error_type(headers, data) or f"http_{status}")


def _sanitised(kind: str) -> str:
    return "".join(c for c in kind if c.isascii() and (c.isalnum() or c in "_-"))[:_MAX_KIND_CHARS] or "unknown"


def _from_entry(entry: Mapping[str, Any], bill: dict[str, Any]) -> errors.ModelError:
    kind = str(entry["type"])
    ctx = entry.get("ctx")
    if kind in CONTENT_TYPES:
        return errors.ContentRejected(**bill)
    if kind in IMAGE_TYPES:
        return errors.ImageRejected(
            reason=IMAGE_TYPES[kind],
            limit_width_px=whole_number(dig(ctx, "min_width") or dig(ctx, "max_width")),
            limit_height_px=whole_number(dig(ctx, "min_height") or dig(ctx, "max_height")),
            limit_bytes=whole_number(dig(ctx, "max_size")),
            **bill,
        )
    if kind in RULES or kind in OTHER_INPUT_TYPES or kind.endswith(INPUT_TYPE_ENDINGS):
        return errors.InvalidForModel(parameter=_parameter(entry.get("loc")), rule=_rule(kind, ctx), **bill)
    return errors.ModelFailed(kind=_sanitised(kind), **bill)


def _parameter(loc: Any) -> str:
    parts = [part for part in loc if isinstance(part, str)] if isinstance(loc, list) else []
    name = next((part for part in reversed(parts) if part in _CHAT_NAMES), None)
    return _CHAT_NAMES[name] if name is not None else _sanitised(parts[-1] if parts else "input")


def _rule(kind: str, ctx: Any) -> str:
    field, pattern = RULES.get(kind, ("", ""))
    limit = dig(ctx, field)
    if isinstance(limit, list):
        return ", ".join(str(item)[:20] for item in limit[:20])
    known = isinstance(limit, int | float) and abs(limit) <= MAX_NUMBER
    return pattern.format(f"{limit:g}") if known else ""
