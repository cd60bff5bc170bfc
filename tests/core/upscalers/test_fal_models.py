"""Every model through fal's queue as documented, and a new model by one TOML file."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
import pyvips
from pydantic import Field

from core.domain.errors import ModelError
from core.domain.job import ModelOutput
from core.domain.models import MODELS, Models, ModelSpec, read_model
from core.domain.parameters.grammar import parse
from core.ports import ModelInputs
from core.upscalers.fal import FalUpscaler
from tests.core.upscalers.fal_kit import backend, no_op, picture
from tests.emulators.fal import FalEmulator
from tests.emulators.fal.schemas import Schema
from tests.typed import unwrap

CLARITY = """
id = "clarity"
backend = "fal"
endpoint = "fal-ai/clarity-upscaler"
price_usd = "0.03"
price_unit = "megapixel"
gives = ["seed"]
[inputs]
factor = { api_name = "upscale_factor", low = 1, high = 4, default = 2.0 }
creativity = { low = 0, high = 1, default = 0.35 }
[words]
en = { name = "Clarity", about = "sharpens" }
"""
"""All that a new model needs."""


async def run(upscaler: FalUpscaler, model: ModelSpec, models: Models, text: str, folder: Path) -> ModelOutput:
    url = await upscaler.stage(await asyncio.to_thread(picture, folder), "image/png", job_id="0123456789ab")
    parameters = models.resolve(parse(f"model={model.id} {text}", models=models))
    inputs = ModelInputs(model, model.request(parameters, url))
    request_id = await upscaler.submit(inputs, job_id="0123456789ab", on_sending=no_op)
    async with asyncio.timeout(20):
        async for _ in upscaler.watch(request_id, model):
            pass
    assert (await upscaler.find(url, since=0, model=model)).request_id == request_id
    result = await upscaler.result(request_id, model)
    await upscaler.fetch(result.image_url, folder / f"{model.id}.png", max_bytes=10**8)
    return result


async def test_seedvr2_runs_under_its_path_and_is_asked_for_below_its_app(tmp_path: Path) -> None:
    seedvr = MODELS[1]
    async with FalEmulator() as fal, backend(fal) as upscaler:
        result = await run(upscaler, seedvr, MODELS, "6x seed=7", tmp_path)
        prices = [await upscaler.unit_price(model) for model in MODELS]
        [event] = unwrap(await upscaler.billing_events(0, 4e9))
        posted = next(r for r in fal.requests if r.method == "POST" and "seedvr" in r.path)
        asked = {r.path.split("/requests/")[0] for r in fal.requests if "/requests/" in r.path and "seedvr" in r.path}
        assert fal.violations == []
    assert (posted.path, asked) == ("/fal-ai/seedvr/upscale/image", {"/fal-ai/seedvr"})
    assert (result.seed, result.caption, result.inference_s) == (7, "", None)
    assert pyvips.Image.new_from_file(str(tmp_path / "seedvr2.png")).width == 6 * 64
    assert prices == [100_000_000, 1_000_000]
    assert (event.units, event.cost_nanousd) == (Decimal(1), 1_000_000)


class Clarity(Schema):
    unit_price_usd = 0.03
    creativity: float = Field(0.3, ge=0, le=1)


async def test_another_model_is_one_file(tmp_path: Path) -> None:
    clarity = read_model(CLARITY)
    models = Models([*MODELS, clarity])
    async with FalEmulator() as fal, backend(fal, models=models) as upscaler:
        fal.schemas[clarity.endpoint] = Clarity
        result = await run(upscaler, clarity, models, "3x creativity=50%", tmp_path)
        assert await upscaler.unit_price(clarity) == 30_000_000
        assert fal.violations == []
    assert (result.seed, result.caption) == (None, "")


async def test_fal_refuses_what_the_model_does_not_have(tmp_path: Path) -> None:
    seedvr = MODELS[1]
    async with FalEmulator() as fal, backend(fal) as upscaler:
        fal.validate_at_submit = True
        url = await upscaler.stage(picture(tmp_path), "image/png", job_id="0123456789ab")
        inputs = ModelInputs(seedvr, {"image_url": url, "creativity": 0.5})
        with pytest.raises(ModelError):
            await upscaler.submit(inputs, job_id="0123456789ab", on_sending=no_op)
