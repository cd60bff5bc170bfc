"""How a job may end, and the bodies fal documents for each way (facts of 2026-11-22, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MODEL_ERROR_STATUS = {
    "internal_server_error": 500,
    "generation_timeout": 504,
    "downstream_service_error": 400,
    "downstream_service_unavailable": 500,
}
"""Documented statuses; every other model error is a 422."""

MODEL_ERROR_CTX: dict[str, dict[str, Any]] = {
    "image_too_small": {"min_width": 64, "min_height": 64},
    "image_too_large": {"max_width": 4096, "max_height": 4096},
    "unsupported_image_format": {"supported_formats": ["jpeg", "png", "webp"]},
    "file_too_large": {"max_size": 52_428_800},
    "greater_than": {"gt": 0},
    "greater_than_equal": {"ge": 1},
    "less_than": {"lt": 5},
    "less_than_equal": {"le": 4},
    "multiple_of": {"multiple_of": 8},
    "one_of": {"expected": [1, 2, 4]},
    "sequence_too_short": {"min_length": 1},
    "sequence_too_long": {"max_length": 4},
}

MODEL_ERROR_PARAM = {
    "greater_than": "upscale_factor",
    "greater_than_equal": "upscale_factor",
    "less_than": "upscale_factor",
    "less_than_equal": "upscale_factor",
    "multiple_of": "steps",
    "one_of": "upscale_factor",
    "sequence_too_short": "image_url",
    "sequence_too_long": "image_url",
    "feature_not_supported": "enable_safety_checker",
}

MODEL_ERROR_TYPES = (
    "internal_server_error",
    "generation_timeout",
    "downstream_service_error",
    "downstream_service_unavailable",
    "content_policy_violation",
    "no_media_generated",
    "image_too_small",
    "image_too_large",
    "image_load_error",
    "unsupported_image_format",
    "file_download_error",
    "file_too_large",
    "face_detection_error",
    "greater_than",
    "greater_than_equal",
    "less_than",
    "less_than_equal",
    "multiple_of",
    "one_of",
    "sequence_too_short",
    "sequence_too_long",
    "feature_not_supported",
)

INFRA_ERROR_STATUS = {
    "request_timeout": 504,
    "startup_timeout": 504,
    "runner_scheduling_failure": 503,
    "runner_connection_timeout": 503,
    "runner_disconnected": 503,
    "runner_connection_refused": 503,
    "runner_connection_error": 503,
    "runner_incomplete_response": 502,
    "runner_server_error": 500,
    "internal_error": 500,
    "client_disconnected": 499,
    "client_cancelled": 499,
    "bad_request": 400,
}


@dataclass(frozen=True)
class Ok:
    """The picture, enlarged for real."""


@dataclass(frozen=True)
class BlackImage:
    """A black picture of the right size: how other fal upscalers answer unsafe content."""


@dataclass(frozen=True)
class OddImage:
    """A success that is not what was asked: another size, one grey, the input's own bytes, flagged as unsafe, or
    within the answer.
    """

    size: tuple[int, int] | None = None
    grey: int | None = None
    unchanged: bool = False
    flagged: bool = False
    data_uri: bool = False


@dataclass(frozen=True)
class ModelErrorOutcome:
    """A model error by its documented type; `units` is the billable units header, None leaves it out."""

    type: str
    units: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def status(self) -> int:
        return MODEL_ERROR_STATUS.get(self.type, 422)

    def body(self, model_input: Mapping[str, Any]) -> dict[str, Any]:
        param = MODEL_ERROR_PARAM.get(self.type, "image_url")
        detail: dict[str, Any] = {
            "loc": ["body", param],
            "msg": f"words for people about {self.type}",
            "type": self.type,
            "url": f"https://docs.fal.ai/errors#{self.type}",
            "input": model_input.get(param),
        }
        if ctx := MODEL_ERROR_CTX.get(self.type):
            detail["ctx"] = ctx
        return {"detail": [detail]}


@dataclass(frozen=True)
class InfraError:
    """A request error by its documented type: flat body and X-Fal-Error-Type."""

    type: str

    def status(self) -> int:
        return INFRA_ERROR_STATUS[self.type]

    def body(self) -> dict[str, Any]:
        return {"detail": f"words about {self.type}", "error_type": self.type}


Outcome = Ok | BlackImage | OddImage | ModelErrorOutcome | InfraError
