"""Measurements of the local model: ten photographs, halved and doubled, against a centred Lanczos (Pillow's)."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from core.images.service import ImageService

PHOTOGRAPHS = ("astronaut", "brick", "camera", "chelsea", "clock", "coffee", "coins", "grass", "gravel", "rocket")
"""All that scikit-image carries in its wheel with the grain of photographs."""


async def local_model() -> dict[str, Any]:
    """For each PSNR in dB of the model and of Lanczos, and SSIM of both."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        async with ImageService(workers=1) as images:
            for name in PHOTOGRAPHS:
                found[name] = await _one(images, Path(folder), getattr(data, name)())
    return {"pictures": found}


async def _one(images: ImageService, folder: Path, samples: np.ndarray[Any, Any]) -> list[float]:
    whole = samples[: samples.shape[0] // 2 * 2, : samples.shape[1] // 2 * 2]
    size = (whole.shape[1], whole.shape[0])
    small = Image.fromarray(whole).resize((size[0] // 2, size[1] // 2), Image.Resampling.LANCZOS)
    small.save(folder / "small.png")
    await images.enlarge(folder / "small.png", folder / "large.png", 2, network=True)
    ours = np.asarray(Image.open(folder / "large.png"))
    plain = np.asarray(small.resize(size, Image.Resampling.LANCZOS))
    axis = None if whole.ndim == 2 else 2
    return [
        *(float(peak_signal_noise_ratio(whole, shown)) for shown in (ours, plain)),
        *(float(structural_similarity(whole, shown, channel_axis=axis)) for shown in (ours, plain)),
    ]
