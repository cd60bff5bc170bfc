"""How a job may end, and the bodies fal documents for each way (facts of 2026-11-22, section 3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MODEL_ERRORS: dict[str, tuple[int, str, dict[str, Any]]] = {
    "internal_server_error": (500, "image_url", {}),
    "generation_timeout": (504, "image_url", {}),
    "downstream_service_error": (400, "image_url", {}),
    "downstream_service_unavailable": (500, "image_url", {}),
    "content_policy_violation": (422, "image_url", {}),
    "no_media_generated": (422, "image_url", {}),
    "image_too_small": (422, "image_url", {"min_width": 64, "min_height": 64}),
    "image_too_large": (422, "image_url", {"max_width": 4096, "max_height": 4096}),
    "image_load_error": (422, "image_url", {}),
    "unsupported_image_format": (422, "image_url", {"supported_formats": ["jpeg", "png", "webp"]}),
    "file_download_error": (422, "image_url", {}),
    "file_too_large": (422, "image_url", {"max_size": 52_428_800}),
    "face_detection_error": (422, "image_url", {}),
    "greater_than": (422, "upscale_factor", {"gt": 0}),
    "greater_than_equal": (422, "upscale_factor", {"ge": 1}),
    "less_than": (422, "upscale_factor", {"lt": 5}),
    "less_than_equal": (422, "upscale_factor", {"le": 4}),
    "multiple_of": (422, "steps", {"multiple_of": 8}),
    "one_of": (422, "upscale_factor", {"expected": [1, 2, 4]}),
    "sequence_too_short": (422, "image_url", {"min_length": 1}),
    "sequence_too_long": (422, "image_url", {"max_length": 4}),
    "feature_not_supported": (422, "enable_safety_checker", {}),
}
"""Documented types: status, the input they are about, and their `ctx`."""

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

    def _facts(self) -> tuple[int, str, dict[str, Any]]:
        return MODEL_ERRORS.get(self.type, (422, "image_url", {}))

    def status(self) -> int:
        return self._facts()[0]

    def body(self, model_input: Mapping[str, Any]) -> dict[str, Any]:
        _, name, ctx = self._facts()
        detail: dict[str, Any] = {
            "loc": ["body", name],
            "msg": f"words for people about {self.type}",
            "type": self.type,
            "url": f"https://docs.fal.ai/errors#{self.type}",
            "input": model_input.get(name),
        }
        return {"detail": [{**detail, "ctx": ctx} if ctx else detail]}


@dataclass(frozen=True)
class InfraError:
    """A request error by its documented type: flat body and X-Fal-Error-Type."""

    type: str

    def status(self) -> int:
        return INFRA_ERROR_STATUS[self.type]

    def body(self) -> dict[str, Any]:
        return {"detail": f"words about {self.type}", "error_type": self.type}


Outcome = Ok | BlackImage | OddImage | ModelErrorOutcome | InfraError
