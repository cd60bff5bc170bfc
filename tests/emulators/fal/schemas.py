"""The endpoints that are served, each with its schema as fal's own pages give it (read 2026-11-29).

https://fal.ai/models/fal-ai/flux-vision-upscaler/llms.txt, https://fal.ai/models/fal-ai/seedvr/upscale/image/llms.txt
"""

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Schema(BaseModel):
    """Inputs of a model. Stricter than fal: unknown fields and numbers in quotes are refused."""

    model_config = ConfigDict(strict=True, extra="forbid")
    unit_price_usd: ClassVar[float]
    outputs: ClassVar[frozenset[str]] = frozenset({"image"})

    image_url: str
    upscale_factor: float = Field(2, ge=1, le=4)

    @classmethod
    def mistakes(cls, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Every one of an input, as fal, which uses pydantic too, words them."""
        try:
            cls.model_validate(body)
        except ValidationError as error:
            return [{**found, "loc": ["body", *found["loc"]]} for found in json.loads(error.json())]
        return []


class Flux(Schema):
    unit_price_usd = 0.1
    outputs = frozenset({"image", "seed", "timings", "caption"})

    creativity: float = Field(0.3, ge=0, le=1)
    guidance: float = Field(1, ge=1, le=4)
    steps: int = Field(20, ge=4, le=50)
    seed: int | None = None
    enable_safety_checker: bool = True


class SeedVr(Schema):
    unit_price_usd = 0.001
    outputs = frozenset({"image", "seed"})

    upscale_factor: float = Field(2, ge=1, le=10)
    noise_scale: float = Field(0.1, ge=0, le=1)
    seed: int | None = None
    sync_mode: bool = False
    upscale_mode: Literal["target", "factor"] = "factor"
    target_resolution: Literal["720p", "1080p", "1440p", "2160p"] = "1080p"
    output_format: Literal["png", "jpg", "webp"] = "jpg"


SCHEMAS: dict[str, type[Schema]] = {"fal-ai/flux-vision-upscaler": Flux, "fal-ai/seedvr/upscale/image": SeedVr}
