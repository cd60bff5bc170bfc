"""The endpoints that are served, each with its schema as fal's own pages give it (read 2026-11-29).

https://fal.ai/models/fal-ai/flux-vision-upscaler/llms.txt, https://fal.ai/models/fal-ai/seedvr/upscale/image/llms.txt
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Schema:
    """Inputs beside `image_url`: ranges of floats and integers (None: no range), switches, choices. Output keys."""

    unit_price_usd: float
    floats: Mapping[str, tuple[float, float]]
    integers: Mapping[str, tuple[int, int] | None] = field(default_factory=dict)
    switches: frozenset[str] = frozenset()
    choices: Mapping[str, frozenset[str]] = field(default_factory=dict)
    outputs: frozenset[str] = frozenset({"image"})
    default_format: str = "png"

    @property
    def known(self) -> frozenset[str]:
        return frozenset({"image_url", *self.floats, *self.integers, *self.switches, *self.choices})


FLUX = Schema(
    0.1,
    {"upscale_factor": (1, 4), "creativity": (0, 1), "guidance": (1, 4)},
    {"steps": (4, 50), "seed": None},
    frozenset({"enable_safety_checker"}),
    outputs=frozenset({"image", "seed", "timings", "caption"}),
)
SEEDVR = Schema(
    0.001,
    {"upscale_factor": (1, 10), "noise_scale": (0, 1)},
    {"seed": None},
    frozenset({"sync_mode"}),
    {
        "upscale_mode": frozenset({"target", "factor"}),
        "target_resolution": frozenset({"720p", "1080p", "1440p", "2160p"}),
        "output_format": frozenset({"png", "jpg", "webp"}),
    },
    outputs=frozenset({"image", "seed"}),
    default_format="jpg",
)
SCHEMAS = {"fal-ai/flux-vision-upscaler": FLUX, "fal-ai/seedvr/upscale/image": SEEDVR}
