"""The HTTP API of the page: shapes, statuses, files."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from core.domain import errors as e
from core.domain.money import NANOUSD_PER_USD
from tests.adapters.web.conftest import form, png
from tests.adapters.web.fake_service import CAPTION, read_csv
from tests.adapters.web.site import Site, site

pytestmark = pytest.mark.asyncio(loop_scope="module")
Http = aiohttp.ClientSession


async def start(http: Http, site: Site, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
    async with http.post(f"{site.url}/api/jobs", data=body or form(text="3x"), headers=headers) as answer:
        return answer.status, await answer.json()


async def finished(http: Http, site: Site, job_id: str) -> dict[str, Any]:
    for _ in range(400):
        async with http.get(f"{site.url}/api/jobs/{job_id}") as answer:
            job: dict[str, Any] = await answer.json()
        if job["state"] in {"succeeded", "failed", "cancelled", "refused"}:
            return job
        await asyncio.sleep(0.01)
    raise AssertionError(job["state"])


async def test_a_started_job_is_answered_with_its_id_state_and_price(page_site: Site, http: Http) -> None:
    status, job = await start(http, page_site, form(png(120, 80), text="/upscale 3x creativity=0.5"))
    assert status == 202
    assert len(job["job_id"]) == 12
    assert job["state"] in {"queued", "running", "delivering", "succeeded"}
    quote = job["quote"]
    assert (quote["width"], quote["height"], quote["out_width"], quote["out_height"]) == (120, 80, 360, 240)
    assert quote["megapixels"] == 1
    assert quote["estimate_usd"] == 0.1
    assert quote["play_money"] is True
    assert page_site.service.jobs[job["job_id"]].parameters.creativity == 0.5


async def test_every_model_input_arrives_under_its_api_name(page_site: Site, http: Http) -> None:
    page_site.service.allow_unsafe = True
    body = form(
        upscale_factor="2.5", creativity="0.7", guidance="1.5", steps="30", seed="42", enable_safety_checker="false"
    )
    status, job = await start(http, page_site, body)
    assert status == 202
    assert job["inputs"] == {
        "upscale_factor": 2.5,
        "creativity": 0.7,
        "guidance": 1.5,
        "steps": 30,
        "seed": 42,
        "enable_safety_checker": False,
    }


async def test_every_model_output_is_in_the_finished_job(page_site: Site, http: Http) -> None:
    _, job = await start(http, page_site)
    done = await finished(http, page_site, job["job_id"])
    result = done["result"]
    assert result["image"]["width"] == 360
    assert result["image"]["height"] == 240
    assert result["image"]["content_type"] == "image/png"
    assert result["image"]["file_name"] == "photo-3x.png"
    assert result["image"]["file_size"] > 0
    assert result["image"]["url"] == f"/api/jobs/{job['job_id']}/image"
    assert result["seed"] == done["parameters"]["seed"]
    assert result["timings"] == {"inference": 3.42}
    assert result["caption"] == CAPTION
    assert done["receipt"]["charged_usd"] == 0.1
    assert done["receipt"]["play_money"] is True


async def test_no_provider_link_and_no_path_is_ever_told(page_site: Site, http: Http) -> None:
    _, job = await start(http, page_site)
    text = json.dumps(await finished(http, page_site, job["job_id"]))
    assert "provider.example" not in text
    assert str(page_site.data_dir) not in text


async def test_all_wrong_parameters_are_refused_at_once_with_their_names(page_site: Site, http: Http) -> None:
    status, answer = await start(http, page_site, form(text="factor=9 creativty=0.5 steps=2"))
    assert status == 400
    error = answer["error"]
    assert error["code"] == "invalid_parameters"
    assert set(error["fields"]) == {"factor", "creativty", "steps"}
    assert "1–4" in error["fields"]["factor"]
    assert "creativity" in error["fields"]["creativty"]
    assert page_site.service.requests == []
    assert list((page_site.data_dir / "uploads").iterdir()) == []


async def test_a_file_that_is_no_picture_is_415(page_site: Site, http: Http) -> None:
    status, answer = await start(http, page_site, form(b"hello there", name="photo.png"))
    assert (status, answer["error"]["code"]) == (415, "not_an_image")
    assert "image" in answer["error"]["fields"]


async def test_a_file_over_the_cap_is_413_and_leaves_nothing_behind(tmp_path: Path, http: Http) -> None:
    async with site(tmp_path, max_input_bytes=100_000) as small:
        for size in (100_001, 1_200_000):
            status, answer = await start(http, small, form(bytes(size)))
            assert (status, answer["error"]["code"]) == (413, "file_too_large")
            assert "0.1 MB" in answer["error"]["message"]
        assert list((tmp_path / "uploads").iterdir()) == []


async def test_a_result_that_is_too_large_offers_the_largest_factor(page_site: Site, http: Http) -> None:
    status, answer = await start(http, page_site, form(png(4000, 3000), text="4x"))
    assert (status, answer["error"]["code"]) == (422, "output_too_large")
    assert answer["error"]["offers"][0]["factor"] == 2.88
    assert answer["error"]["job_id"]


async def test_a_spent_budget_is_402_and_says_when_it_opens(page_site: Site, http: Http) -> None:
    page_site.service.enforce_limits = True
    page_site.service.spent_nanousd = page_site.service.day_limit_nanousd - NANOUSD_PER_USD // 20
    status, answer = await start(http, page_site)
    assert (status, answer["error"]["code"]) == (402, "limit_reached")
    assert answer["error"]["opens_at"] > page_site.clock.now()


async def test_without_a_picture_the_answer_says_so(page_site: Site, http: Http) -> None:
    async with http.post(f"{page_site.url}/api/jobs", json={"text": "3x"}) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] == "no_image"


async def test_while_shutting_down_new_jobs_are_503(page_site: Site, http: Http) -> None:
    page_site.service.draining = True
    status, answer = await start(http, page_site)
    assert (status, answer["error"]["code"]) == (503, "draining")


async def test_the_unforeseen_becomes_a_reference_without_details(page_site: Site, http: Http) -> None:
    page_site.service.broken = RuntimeError("secret detail")
    status, answer = await start(http, page_site)
    assert status == 500
    assert answer["error"]["reference"] == "0incident000"
    assert "secret" not in json.dumps(answer)


@pytest.mark.parametrize("where", ["url", "image_url", "image", "text"])
async def test_a_link_starts_a_job_from_json(page_site: Site, http: Http, where: str) -> None:
    async with http.post(f"{page_site.url}/api/jobs", json={where: "https://pictures.example/a.png"}) as answer:
        assert answer.status == 202
    source = page_site.service.requests[0].source
    assert (source.kind, source.url) == ("link", "https://pictures.example/a.png")


async def test_numbers_in_json_keep_their_type(page_site: Site, http: Http) -> None:
    body = {"url": "https://pictures.example/a.png", "factor": 1.5, "steps": 12, "seed": 4294967295, "private": True}
    async with http.post(f"{page_site.url}/api/jobs", json=body) as answer:
        assert answer.status == 202
        assert (await answer.json())["parameters"]["seed"] == 4294967295


async def test_the_same_idempotency_key_is_the_same_job(page_site: Site, http: Http) -> None:
    one = await start(http, page_site, **{"Idempotency-Key": "k1"})
    two = await start(http, page_site, **{"Idempotency-Key": "k1"})
    other = await start(http, page_site, **{"Idempotency-Key": "k2"})
    assert one[1]["job_id"] == two[1]["job_id"] != other[1]["job_id"]
    assert len(page_site.service.requests) == 2
    assert len(list((page_site.data_dir / "uploads").iterdir())) == 2


async def test_a_dear_job_waits_for_its_price_to_be_confirmed(page_site: Site, http: Http) -> None:
    status, job = await start(http, page_site, form(png(1600, 1200), text="4x"))
    assert (status, job["state"]) == (202, "awaiting_confirmation")
    assert "$3.10" in job["card"]["rows"][0][0]["label"]
    async with http.post(f"{page_site.url}/api/jobs/{job['job_id']}/confirm") as answer:
        assert answer.status == 200
    done = await finished(http, page_site, job["job_id"])
    assert done["result"]["image"]["width"] == 6400


async def test_a_price_agreed_to_beforehand_is_not_asked_again(page_site: Site, http: Http) -> None:
    status, job = await start(http, page_site, form(png(1600, 1200), text="4x", agreed_usd="3.10"))
    assert (status, page_site.service.requests[-1].confirmed_nanousd) == (202, 3_100_000_000)
    assert (await finished(http, page_site, job["job_id"]))["state"] == "succeeded"


async def test_a_price_above_the_agreed_one_is_asked(page_site: Site, http: Http) -> None:
    _, job = await start(http, page_site, form(png(1600, 1200), text="4x", agreed_usd="3.09"))
    assert job["state"] == "awaiting_confirmation"


@pytest.mark.parametrize("nonsense", ["much", "-1", "1e99", "NaN"])
async def test_an_agreed_price_that_is_none_is_named(page_site: Site, http: Http, nonsense: str) -> None:
    status, body = await start(http, page_site, form(text="2x", agreed_usd=nonsense))
    assert (status, list(body["error"]["fields"])) == (400, ["agreed_usd"])


async def test_a_running_job_can_be_cancelled(page_site: Site, http: Http) -> None:
    page_site.service.gates["upscaling"] = asyncio.Event()
    _, job = await start(http, page_site)
    async with http.post(f"{page_site.url}/api/jobs/{job['job_id']}/cancel") as answer:
        assert answer.status == 200
    page_site.service.gates["upscaling"].set()
    assert (await finished(http, page_site, job["job_id"]))["state"] == "cancelled"
    async with http.post(f"{page_site.url}/api/jobs/{job['job_id']}/cancel") as answer:
        assert answer.status == 409


async def test_a_failure_carries_sentence_charge_and_reference(page_site: Site, http: Http) -> None:
    page_site.service.fail_with = e.ModelFailed(kind="boom")
    page_site.service.gates["upscaling"] = asyncio.Event()
    _, job = await start(http, page_site)
    page_site.service.gates["upscaling"].set()
    done = await finished(http, page_site, job["job_id"])
    assert done["state"] == "failed"
    assert done["error"]["code"] == "model_failed"
    assert done["error"]["charged"] == "You were not charged."
    assert done["error"]["reference"] == job["job_id"]


@pytest.mark.parametrize("change", ["again", "more_creative", "twice_more"])
async def test_buttons_make_a_new_job_from_an_earlier_one(page_site: Site, http: Http, change: str) -> None:
    _, job = await start(http, page_site)
    await finished(http, page_site, job["job_id"])
    async with http.post(f"{page_site.url}/api/jobs/{job['job_id']}/repeat", json={"change": change}) as answer:
        assert answer.status == 202
        new = await answer.json()
    assert new["parent_id"] == job["job_id"]
    done = await finished(http, page_site, new["job_id"])
    assert done["result"]["image"]["width"] == (720 if change == "twice_more" else 360)


async def test_an_unknown_change_is_refused(page_site: Site, http: Http) -> None:
    _, job = await start(http, page_site)
    async with http.post(f"{page_site.url}/api/jobs/{job['job_id']}/repeat", json={"change": "explode"}) as answer:
        assert answer.status == 400


async def test_the_result_is_served_whole_in_part_and_for_saving(page_site: Site, http: Http) -> None:
    _, job = await start(http, page_site)
    await finished(http, page_site, job["job_id"])
    url = f"{page_site.url}/api/jobs/{job['job_id']}/image"
    async with http.get(url) as answer:
        whole = await answer.read()
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"].startswith("inline")
        assert whole.startswith(b"\x89PNG")
    async with http.get(url, headers={"Range": "bytes=10-29"}) as answer:
        assert answer.status == 206
        assert await answer.read() == whole[10:30]
    async with http.get(f"{url}?download=1") as answer:
        assert answer.headers["Content-Disposition"].startswith('attachment; filename="photo-3x.png"')


@pytest.mark.parametrize("name", ["source", "preview", "compare"])
async def test_the_other_pictures_of_a_job_are_served(page_site: Site, http: Http, name: str) -> None:
    _, job = await start(http, page_site)
    await finished(http, page_site, job["job_id"])
    async with http.get(f"{page_site.url}/api/jobs/{job['job_id']}/{name}") as answer:
        assert answer.status == 200
        assert (await answer.read()).startswith(b"\x89PNG")


async def test_deleted_pictures_are_gone_but_the_receipt_stays(page_site: Site, http: Http) -> None:
    _, job = await start(http, page_site)
    await finished(http, page_site, job["job_id"])
    url = f"{page_site.url}/api/jobs/{job['job_id']}"
    async with http.delete(url) as answer:
        assert answer.status == 200
        gone = await answer.json()
    assert gone["images_deleted"] is True
    assert gone["receipt"]["charged_usd"] == 0.1
    async with http.get(f"{url}/image") as answer:
        assert answer.status == 409


@pytest.mark.parametrize("path", ["", "/events", "/image"])
async def test_an_unknown_job_is_404(page_site: Site, http: Http, path: str) -> None:
    async with http.get(f"{page_site.url}/api/jobs/nosuchjob000{path}") as answer:
        assert answer.status == 404
        assert (await answer.json())["error"]["code"] == "job_not_found"


async def test_an_estimate_tells_price_and_meaning_of_a_line(page_site: Site, http: Http) -> None:
    body = {"text": "/upscale 3x creative", "width": 1000, "height": 1000}
    async with http.post(f"{page_site.url}/api/estimate", json=body) as answer:
        told = await answer.json()
    assert told["quote"]["megapixels"] == 9
    assert told["parameters"]["creativity"] == 0.6
    assert told["preset"] == "creative"
    assert told["explicit"] == ["factor"]
    async with http.get(f"{page_site.url}/api/estimate?width=10&height=x") as answer:
        assert answer.status == 400


async def test_usage_is_told_in_json_csv_and_as_a_chart(page_site: Site, http: Http) -> None:
    _, job = await start(http, page_site)
    await finished(http, page_site, job["job_id"])
    async with http.get(f"{page_site.url}/api/usage?period=week") as answer:
        report = await answer.json()
    assert (report["charged_usd"], report["jobs"], report["period"]) == (0.1, 1, "week")
    async with http.get(f"{page_site.url}/api/usage?format=csv") as answer:
        assert answer.content_type == "text/csv"
        assert read_csv(await answer.text())[1]["charged_usd"] == "0.1000"
    async with http.get(f"{page_site.url}/api/usage?period=aeon") as answer:
        assert answer.status == 400


async def test_limits_are_shown_set_cleared_and_new_jobs_paused(page_site: Site, http: Http) -> None:
    url = f"{page_site.url}/api/limits"
    async with http.get(url) as answer:
        assert (await answer.json())["limits"][0]["left"] == 5_000_000_000
    async with http.post(url, json={"text": "everything month 500 mp"}) as answer:
        limits = (await answer.json())["limits"]
    assert [(row["measure"], row["window"], row["amount"]) for row in limits][1] == ("megapixels", "month", 500)
    async with http.post(url, json={"clear": "everything month mp"}) as answer:
        assert len((await answer.json())["limits"]) == 1
    async with http.post(url, json={"text": "a banana"}) as answer:
        assert answer.status == 400
    async with http.post(f"{page_site.url}/api/pause", json={"paused": True}) as answer:
        assert (await answer.json())["paused"] is True
    status, refused = await start(http, page_site)
    assert (status, refused["error"]["code"]) == (403, "paused")


async def test_defaults_history_and_privacy_work(page_site: Site, http: Http) -> None:
    async with http.put(f"{page_site.url}/api/defaults", json={"text": "1.5x banana"}) as answer:
        assert answer.status == 400
    async with http.put(f"{page_site.url}/api/defaults", json={"text": "1.5x"}) as answer:
        assert (await answer.json())["defaults"] == {"factor": 1.5}
    await start(http, page_site, form(text=""))
    async with http.get(f"{page_site.url}/api/history?limit=5") as answer:
        jobs = (await answer.json())["jobs"]
    assert [job["parameters"]["factor"] for job in jobs] == [1.5]
    async with http.get(f"{page_site.url}/api/history?before=yesterday") as answer:
        assert answer.status == 400
    async with http.get(f"{page_site.url}/api/privacy/export") as answer:
        assert (await answer.read()).startswith(b"PK")
    for _ in range(200):
        if not (page_site.data_dir / "export.zip").exists():
            break
        await asyncio.sleep(0.01)
    assert not (page_site.data_dir / "export.zip").exists()
    async with http.post(f"{page_site.url}/api/privacy/delete", json={}) as answer:
        assert answer.status == 400
    async with http.post(f"{page_site.url}/api/privacy/delete", json={"confirm": True}) as answer:
        assert (await answer.json())["erased"] == 1


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'"x"', b"\xff"])
async def test_a_broken_json_body_is_400(page_site: Site, http: Http, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    async with http.post(f"{page_site.url}/api/jobs", data=body, headers=headers) as answer:
        assert answer.status == 400


async def test_a_broken_form_is_400(page_site: Site, http: Http) -> None:
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=x", "text/plain"):
        async with http.post(
            f"{page_site.url}/api/jobs", data=b"nonsense", headers={"Content-Type": content_type}
        ) as answer:
            assert answer.status == 400, content_type


async def test_fifty_jobs_at_once_all_end(page_site: Site, http: Http) -> None:
    answers = await asyncio.gather(*(start(http, page_site) for _ in range(50)))
    assert {status for status, _ in answers} == {202}
    for _, job in answers:
        assert (await finished(http, page_site, job["job_id"]))["state"] == "succeeded"
