"""What fal's error answers mean: every documented shape to a leaf of `core.domain.errors`. Pure.

Shapes (facts of 2026-11-22, fal's errors and request-errors pages): model errors carry a list in `detail`, branch on
`type`; request errors are flat with `error_type`; keys and credit are a string in `detail`; the platform API has an
`error` object. `input` and `msg` may echo what the member sent and are never kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from typing import Any, Literal

from core.domain.errors import (
    ContentRejected,
    ImageRejected,
    InvalidForModel,
    ModelError,
    ModelFailed,
    ProviderHalted,
)
from core.domain.parameters.spec import SPECS

CONTENT_TYPES = frozenset({"content_policy_violation", "nsfw_content_detected"})

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

TRANSIENT_REQUEST_ERRORS = frozenset(
    {
        "request_timeout",
        "startup_timeout",
        "runner_scheduling_failure",
        "runner_connection_timeout",
        "runner_disconnected",
        "runner_connection_refused",
        "runner_connection_error",
        "runner_incomplete_response",
        "runner_server_error",
        "internal_error",
    }
)

_CHAT_NAMES = {spec.api_name: spec.name for spec in SPECS.values()} | {"image_url": "image"}
_RETRY_HEADERS = ("X-Fal-Retryable", "X-Fal-Needs-Retry")
_LONGEST_KIND = 64


def units_in(headers: Mapping[str, str]) -> Decimal | None:
    """X-Fal-Billable-Units as a number of megapixels, or None where it is missing or nonsense."""
    try:
        units = Decimal(headers.get("X-Fal-Billable-Units", "").strip())
    except InvalidOperation:
        return None
    return units if units.is_finite() and units >= 0 else None


def halt_in(status: int, data: Any) -> ProviderHalted | None:
    """The account-wide refusal that this answer is, if it is one: 401, 402, or a 403 that is not the model's own."""
    if status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN}:
        return None
    detail = data.get("detail") if isinstance(data, dict) else None
    if isinstance(detail, list):
        return None
    words = detail.lower() if isinstance(detail, str) else ""
    locked = "balance" in words or "locked" in words or status == HTTPStatus.PAYMENT_REQUIRED
    return ProviderHalted(kind="credit" if locked else "key")


def model_error(status: int, headers: Mapping[str, str], data: Any) -> ModelError:
    """The leaf for a failed request's answer; anything unknown is a `ModelFailed` that is not worth retrying."""
    units = units_in(headers)
    # "Only successful outputs are billed; 5xx and queue time are free; 422 may be billed" (fal's pricing page).
    free = False if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None
    bill: dict[str, Any] = {"billed": free if units is None else units > 0, "billed_units": units}
    entry = _main_entry(data)
    if entry is not None:
        return _from_entry(entry, headers, bill)
    kind = _flat_kind(status, headers, data)
    return ModelFailed(kind=kind, retryable=kind in TRANSIENT_REQUEST_ERRORS, **bill)


def _main_entry(data: Any) -> Mapping[str, Any] | None:
    detail = data.get("detail") if isinstance(data, dict) else None
    entries = [item for item in detail if isinstance(item, dict)] if isinstance(detail, list) else []
    return next((item for item in entries if isinstance(item.get("type"), str)), None)


def _flat_kind(status: int, headers: Mapping[str, str], data: Any) -> str:
    kind = data.get("error_type") if isinstance(data, dict) else None
    if not isinstance(kind, str):
        kind = headers.get("X-Fal-Error-Type") or f"http_{status}"
    return _safe(kind)


def _safe(kind: str) -> str:
    return "".join(c for c in kind if c.isascii() and (c.isalnum() or c in "_-"))[:_LONGEST_KIND] or "unknown"


def _from_entry(entry: Mapping[str, Any], headers: Mapping[str, str], bill: dict[str, Any]) -> ModelError:
    kind = str(entry["type"])
    context = entry.get("ctx")
    ctx: Mapping[str, Any] = context if isinstance(context, dict) else {}
    if kind in CONTENT_TYPES:
        return ContentRejected(**bill)
    if kind in IMAGE_TYPES:
        return ImageRejected(
            reason=IMAGE_TYPES[kind],
            limit_width_px=_whole(ctx.get("min_width", ctx.get("max_width"))),
            limit_height_px=_whole(ctx.get("min_height", ctx.get("max_height"))),
            limit_bytes=_whole(ctx.get("max_size")),
            **bill,
        )
    if kind in RULES or kind in OTHER_INPUT_TYPES or kind.endswith(INPUT_TYPE_ENDINGS):
        return InvalidForModel(parameter=_parameter(entry.get("loc")), rule=_rule(kind, ctx), **bill)
    return ModelFailed(kind=_safe(kind), retryable=_says_retry(headers), **bill)


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None


def _parameter(loc: Any) -> str:
    parts = [part for part in loc if isinstance(part, str)] if isinstance(loc, list) else []
    name = next((part for part in reversed(parts) if part in _CHAT_NAMES), None)
    return _CHAT_NAMES[name] if name is not None else _safe(parts[-1] if parts else "input")


def _rule(kind: str, ctx: Mapping[str, Any]) -> str:
    field, pattern = RULES.get(kind, ("", ""))
    limit = ctx.get(field)
    if isinstance(limit, list):
        return ", ".join(str(item)[:20] for item in limit[:20])
    return pattern.format(f"{limit:g}") if isinstance(limit, int | float) else ""


def _says_retry(headers: Mapping[str, str]) -> bool:
    return any(headers.get(name, "").strip().lower() in {"1", "true"} for name in _RETRY_HEADERS)
