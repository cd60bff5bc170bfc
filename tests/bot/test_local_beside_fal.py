"""`local` offered beside fal's models: free, on this machine, whatever fal does. Real processes."""

from pathlib import Path

import pytest

from tests.bot.process_kit import Bot, client_of, until
from tests.emulators.fal import FalEmulator
from tests.emulators.fal.faults import exhausted

MODELS = {"MODELS": "flux,seedvr2,local", "LIMIT_USER_DAY_USD": "0.05"}


async def test_a_picture_made_here_is_free_while_fal_is_out_of_credit_and_the_daily_money_is_gone(
    tmp_path: Path,
) -> None:
    async with FalEmulator(job_s=0.2) as fal, Bot(tmp_path, fal.env() | MODELS) as bot:
        async with client_of(bot) as client:
            with pytest.raises(AssertionError, match="limit_reached"):  # fal asks more than the day allows
                await client.post(1)
            await client.post(2, text="model=seedvr2 3x")
            await client.finished([2])
            fal.faults.add("submit", exhausted(), times=9)
            await client.post(3, text="model=seedvr2 2x")
            await client.finished([3])
            await client.post(4, text="model=local 3x")
            bought, halted, made = await client.finished([2, 3, 4])
        assert [job["state"] for job in (bought, halted, made)] == ["succeeded", "refused", "succeeded"]
        assert (halted["error"]["code"], bought["receipt"]["charged_usd"]) == ("provider_halted", 0.001)
        assert (made["receipt"]["charged_usd"], made["receipt"]["play_money"]) == (0, False)
        assert (made["result"]["image"]["width"], made["result"]["image"]["height"]) == (192, 144)
        assert "on this machine" in made["result"]["caption"]
        assert len(fal.jobs) == 1


@pytest.mark.parametrize("offered", ["flux,local", ""])
async def test_a_picture_being_made_here_survives_a_kill_and_the_model_being_taken_off_the_list(
    tmp_path: Path, offered: str
) -> None:
    async with FalEmulator(job_s=0.2) as fal, Bot(tmp_path, fal.env() | MODELS) as bot:
        async with client_of(bot) as client:
            await client.post(1, width_px=1200, height_px=900, text="model=local 2x")
            await until(lambda: bool(list((tmp_path / "sandbox").glob("**/*.json"))))
            await bot.kill()
            bot.env["MODELS"] = offered
            await bot.start()
            [made] = await client.finished([1])
        assert (made["state"], made["result"]["image"]["width"]) == ("succeeded", 2400)
        assert made["receipt"]["charged_usd"] == 0
        assert not fal.jobs


async def test_a_picture_being_made_here_can_be_cancelled(tmp_path: Path) -> None:
    async with FalEmulator(job_s=0.2) as fal, Bot(tmp_path, fal.env() | MODELS) as bot:
        async with client_of(bot) as client:
            for number in (1, 2):
                await client.post(number, width_px=1200, height_px=900, text="model=local 2x")
            await until(lambda: len(list((tmp_path / "sandbox").glob("**/*.json"))) == 2)
            for number in (2, 1):
                async with client.session.post(client.url(f"/api/jobs/{client.job_id(number)}/cancel")) as answer:
                    assert answer.status == 200
            jobs = await client.finished([1, 2])
        assert [(job["state"], job["receipt"]["charged_usd"]) for job in jobs] == [("cancelled", 0)] * 2


async def test_the_doctor_names_it_with_its_price(tmp_path: Path) -> None:
    async with FalEmulator() as fal:
        bot = Bot(tmp_path, fal.env() | MODELS)
        _, said = await bot.command("doctor")
    assert "$0.10 (flux) or $0.001 (seedvr2) or $0.00 (local)" in " ".join(said.split())
