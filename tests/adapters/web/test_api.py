"""The HTTP API of the page: shapes, statuses, files."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from core.domain import errors as e
from core.domain.job import JobState
from core.domain.money import NANOUSD_PER_USD
from tests.adapters.web.conftest import form, png
from tests.adapters.web.fake_service import CAPTION
from tests.adapters.web.site import Site, site
from tests.fakes.core import until

pytestmark = pytest.mark.asyncio(loop_scope="session")
Http = aiohttp.ClientSession


async def ask(http: Http, site: Site, method: str, path: str, **how: Any) -> tuple[int, dict[str, Any]]:
    async with http.request(method, f"{site.url}/api/{path}", **how) as answer:
        return answer.status, await answer.json()


async def start(http: Http, site: Site, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
    return await ask(http, site, "POST", "jobs", data=body or form(text="3x"), headers=headers)


async def finished(http: Http, site: Site, job_id: str) -> dict[str, Any]:
    for _ in range(400):
        _, job = await ask(http, site, "GET", f"jobs/{job_id}")
        if job["state"] in {"succeeded", "failed", "cancelled", "refused"}:
            return job
        await asyncio.sleep(0.01)
    raise AssertionError(job["state"])


async def made(http: Http, site: Site, body: Any = None) -> dict[str, Any]:
    return await finished(http, site, (await start(http, site, body))[1]["job_id"])


async def test_a_started_job_is_answered_with_its_id_state_and_price(page_site: Site, http: Http) -> None:
    status, job = await start(http, page_site, form(png(120, 80), text="/upscale 3x creativity=0.5"))
    assert status == 202
    assert len(job["job_id"]) == 12
    assert job["state"] in {"queued", "running", "delivering", "succeeded"}
    quote = job["quote"]
    assert (quote["width"], quote["height"], quote["out_width"], quote["out_height"]) == (120, 80, 360, 240)
    assert (quote["megapixels"], quote["estimate_usd"], quote["play_money"]) == (1, 0.1, True)
    assert page_site.service.jobs[job["job_id"]].parameters.creativity == 0.5


async def test_every_model_input_arrives_under_its_api_name(page_site: Site, http: Http) -> None:
    page_site.service.allow_unsafe = True
    body = form(
        upscale_factor="2.5", creativity="0.7", guidance="1.5", steps="30", seed="42", enable_safety_checker="false"
    )
    status, job = await start(http, page_site, body)
    given = {"upscale_factor": 2.5, "creativity": 0.7, "guidance": 1.5, "steps": 30, "seed": 42}
    assert (status, job["inputs"]) == (202, {**given, "enable_safety_checker": False})


async def test_a_finished_job_has_every_output_of_the_model_and_neither_its_link_nor_a_path(
    page_site: Site, http: Http
) -> None:
    done = await made(http, page_site)
    result = done["result"]
    assert result["image"].pop("file_size") > 0
    assert result["image"] == {
        "url": f"/api/jobs/{done['job_id']}/image",
        "width": 360,
        "height": 240,
        "content_type": "image/png",
        "file_name": "photo-3x.png",
    }
    assert (result["seed"], result["caption"]) == (done["parameters"]["seed"], CAPTION)
    assert result["timings"] == {"inference": 4.2}
    assert (done["receipt"]["charged_usd"], done["receipt"]["play_money"]) == (0.1, True)
    assert "provider.example" not in json.dumps(done)
    assert str(page_site.data_dir) not in json.dumps(done)


async def test_all_wrong_parameters_are_refused_at_once_with_their_names(page_site: Site, http: Http) -> None:
    status, answer = await start(http, page_site, form(text="factor=9 creativty=0.5 steps=2"))
    error = answer["error"]
    assert (status, error["code"]) == (400, "invalid_parameters")
    assert set(error["fields"]) == {"factor", "creativty", "steps"}
    assert "1–4" in error["fields"]["factor"]
    assert "creativity" in error["fields"]["creativty"]
    assert page_site.service.requests == []
    assert list((page_site.data_dir / "uploads").iterdir()) == []


async def test_what_is_no_picture_is_refused_by_name(page_site: Site, http: Http) -> None:
    status, answer = await start(http, page_site, form(b"hello there", name="photo.png"))
    assert (status, answer["error"]["code"], list(answer["error"]["fields"])) == (415, "not_an_image", ["image"])
    status, answer = await ask(http, page_site, "POST", "jobs", json={"text": "3x"})
    assert (status, answer["error"]["code"]) == (400, "no_image")


async def test_a_file_over_the_cap_is_413_and_leaves_nothing_behind(tmp_path: Path, http: Http) -> None:
    async with site(tmp_path, max_input_bytes=100_000) as small:
        for size in (100_001, 1_200_000):
            status, answer = await start(http, small, form(bytes(size)))
            assert (status, answer["error"]["code"]) == (413, "file_too_large")
            assert "0.1\u00a0MB" in answer["error"]["message"]
        assert list((tmp_path / "uploads").iterdir()) == []


async def test_a_spent_budget_is_402_and_says_when_it_opens(page_site: Site, http: Http) -> None:
    page_site.service.enforce_limits = True
    page_site.service.spent_nanousd = page_site.service.day_limit_nanousd - NANOUSD_PER_USD // 20
    status, answer = await start(http, page_site)
    assert (status, answer["error"]["code"]) == (402, "limit_reached")
    assert answer["error"]["opens_at"] > page_site.clock.now()


async def test_while_shutting_down_new_jobs_are_503(page_site: Site, http: Http) -> None:
    page_site.service.draining = True
    status, answer = await start(http, page_site)
    assert (status, answer["error"]["code"]) == (503, "draining")


async def test_the_unforeseen_becomes_a_reference_without_details(page_site: Site, http: Http) -> None:
    page_site.service.broken = RuntimeError("secret detail")
    status, answer = await start(http, page_site)
    assert (status, answer["error"]["reference"]) == (500, "0incident000")
    assert "secret" not in json.dumps(answer)


@pytest.mark.parametrize("where", ["url", "image_url", "image", "text"])
async def test_a_link_starts_a_job_from_json(page_site: Site, http: Http, where: str) -> None:
    link = "https://pictures.example/a.png"
    assert (await ask(http, page_site, "POST", "jobs", json={where: link}))[0] == 202
    source = page_site.service.requests[0].source
    assert (source.kind, source.url) == ("link", link)


async def test_numbers_in_json_keep_their_type(page_site: Site, http: Http) -> None:
    body = {"url": "https://pictures.example/a.png", "factor": 1.5, "steps": 12, "seed": 4294967295, "private": True}
    status, job = await ask(http, page_site, "POST", "jobs", json=body)
    assert (status, job["parameters"]["seed"]) == (202, 4294967295)


async def test_the_same_idempotency_key_is_the_same_job(page_site: Site, http: Http) -> None:
    one, two, other = [await start(http, page_site, **{"Idempotency-Key": key}) for key in ("k1", "k1", "k2")]
    assert one[1]["job_id"] == two[1]["job_id"] != other[1]["job_id"]
    assert len(page_site.service.requests) == 2
    assert len(list((page_site.data_dir / "uploads").iterdir())) == 2


async def test_a_dear_job_waits_for_its_price_unless_that_was_agreed_to(page_site: Site, http: Http) -> None:
    page_site.service.confirm_above_nanousd = NANOUSD_PER_USD // 10
    status, job = await start(http, page_site, form(png(400, 300), text="4x", agreed_usd="0.19"))
    assert (status, job["state"]) == (202, "awaiting_confirmation")
    assert "$0.20" in job["card"]["rows"][0][0]["label"]
    assert (await ask(http, page_site, "POST", f"jobs/{job['job_id']}/confirm"))[0] == 200
    assert (await finished(http, page_site, job["job_id"]))["result"]["image"]["width"] == 1600
    agreed = await made(http, page_site, form(png(400, 300), text="4x", agreed_usd="0.20"))
    assert (agreed["state"], page_site.service.requests[-1].confirmed_nanousd) == ("succeeded", 200_000_000)


@pytest.mark.parametrize("nonsense", ["much", "-1", "1e99", "NaN", "1_000"])
async def test_an_agreed_price_that_is_none_is_named(page_site: Site, http: Http, nonsense: str) -> None:
    status, body = await start(http, page_site, form(text="2x", agreed_usd=nonsense))
    assert (status, list(body["error"]["fields"])) == (400, ["agreed_usd"])


async def test_a_running_job_can_be_cancelled(page_site: Site, http: Http) -> None:
    page_site.service.gates["upscaling"] = asyncio.Event()
    _, job = await start(http, page_site)
    assert (await ask(http, page_site, "POST", f"jobs/{job['job_id']}/cancel"))[0] == 200
    page_site.service.gates["upscaling"].set()
    assert (await finished(http, page_site, job["job_id"]))["state"] == "cancelled"
    assert (await ask(http, page_site, "POST", f"jobs/{job['job_id']}/cancel"))[0] == 409


async def test_a_failure_carries_sentence_charge_and_reference(page_site: Site, http: Http) -> None:
    page_site.service.fail_with = e.ModelFailed(kind="boom")
    page_site.service.gates["upscaling"] = asyncio.Event()
    _, job = await start(http, page_site)
    page_site.service.gates["upscaling"].set()
    done = await finished(http, page_site, job["job_id"])
    told = [done["error"][name] for name in ("code", "charged", "reference")]
    assert (done["state"], told) == ("failed", ["model_failed", "Not charged.", job["job_id"]])


async def test_buttons_make_a_new_job_from_an_earlier_one(page_site: Site, http: Http) -> None:
    job = await made(http, page_site)
    path = f"jobs/{job['job_id']}/repeat"
    for change, width in (("again", 360), ("more_creative", 360), ("twice_more", 720)):
        status, new = await ask(http, page_site, "POST", path, json={"change": change})
        assert (status, new["parent_id"]) == (202, job["job_id"])
        assert (await finished(http, page_site, new["job_id"]))["result"]["image"]["width"] == width
    assert (await ask(http, page_site, "POST", path, json={"change": "explode"}))[0] == 400


async def test_the_result_is_served_whole_in_part_and_for_saving(page_site: Site, http: Http) -> None:
    job = await made(http, page_site)
    url = f"{page_site.url}/api/jobs/{job['job_id']}/image"
    async with http.get(url) as answer:
        whole = await answer.read()
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"].startswith("inline")
        assert whole.startswith(b"\x89PNG")
    async with http.get(url, headers={"Range": "bytes=10-29"}) as answer:
        assert (answer.status, await answer.read()) == (206, whole[10:30])
    async with http.get(f"{url}?download=1") as answer:
        assert answer.headers["Content-Disposition"].startswith('attachment; filename="photo-3x.png"')


@pytest.mark.parametrize("name", ["source", "preview", "compare"])
async def test_the_other_pictures_of_a_job_are_served(page_site: Site, http: Http, name: str) -> None:
    job = await made(http, page_site)
    async with http.get(f"{page_site.url}/api/jobs/{job['job_id']}/{name}") as answer:
        assert answer.status == 200
        assert (await answer.read()).startswith(b"\x89PNG")


async def test_deleted_pictures_are_gone_but_the_receipt_stays(page_site: Site, http: Http) -> None:
    job = await made(http, page_site)
    status, gone = await ask(http, page_site, "DELETE", f"jobs/{job['job_id']}")
    assert (status, gone["images_deleted"], gone["receipt"]["charged_usd"]) == (200, True, 0.1)
    assert (await ask(http, page_site, "GET", f"jobs/{job['job_id']}/image"))[0] == 409


@pytest.mark.parametrize("path", ["", "/events", "/image"])
async def test_an_unknown_job_is_404(page_site: Site, http: Http, path: str) -> None:
    status, answer = await ask(http, page_site, "GET", f"jobs/nosuchjob000{path}")
    assert (status, answer["error"]["code"]) == (404, "job_not_found")


async def test_an_estimate_tells_price_and_meaning_of_a_line(page_site: Site, http: Http) -> None:
    body = {"text": "/upscale 3x creative", "width": 1000, "height": 1000}
    _, told = await ask(http, page_site, "POST", "estimate", json=body)
    assert (told["quote"]["megapixels"], told["parameters"]["creativity"]) == (9, 0.6)
    assert (told["preset"], told["explicit"]) == ("creative", ["factor"])
    assert (await ask(http, page_site, "GET", "estimate?width=10&height=x"))[0] == 400


async def test_usage_is_told_in_json_and_as_a_table(page_site: Site, http: Http) -> None:
    await made(http, page_site)
    _, report = await ask(http, page_site, "GET", "usage?period=week")
    assert (report["charged_usd"], report["jobs"], report["period"]) == (0.1, 1, "week")
    async with http.get(f"{page_site.url}/api/usage?format=csv") as answer:
        assert answer.content_type == "text/csv"
        assert await answer.text() == "day,charged_usd,model\n2026-11-23,0.10,flux\n"
    assert (await ask(http, page_site, "GET", "usage?period=aeon"))[0] == 400


async def test_limits_are_shown_set_cleared_and_new_jobs_paused(page_site: Site, http: Http) -> None:
    assert (await ask(http, page_site, "GET", "limits"))[1]["limits"][0]["left"] == 5_000_000_000
    row = (await ask(http, page_site, "POST", "limits", json={"text": "everything month 500 mp"}))[1]["limits"][1]
    assert (row["measure"], row["window"], row["amount"]) == ("megapixels", "month", 500)
    _, after = await ask(http, page_site, "POST", "limits", json={"clear": "everything month mp"})
    assert len(after["limits"]) == 1
    assert (await ask(http, page_site, "POST", "limits", json={"text": "a banana"}))[0] == 400
    for incomplete in ({}, {"paused": "true"}, {"paused": None, "text": "everything"}):
        assert (await ask(http, page_site, "POST", "pause", json=incomplete))[0] == 400
    assert (await ask(http, page_site, "POST", "pause", json={"paused": True}))[1]["paused"] is True
    status, refused = await start(http, page_site)
    assert (status, refused["error"]["code"]) == (403, "paused")


async def test_defaults_history_and_privacy_work(page_site: Site, http: Http) -> None:
    assert (await ask(http, page_site, "PUT", "defaults", json={"text": "1.5x banana"}))[0] == 400
    assert (await ask(http, page_site, "PUT", "defaults", json={"text": "1.5x"}))[1]["defaults"] == {"factor": 1.5}
    job, newer = [await made(http, page_site, form(text="")) for _ in range(2)]
    page_site.service.set(newer["job_id"], state=JobState.REFUSED)
    _, told = await ask(http, page_site, "GET", "history?limit=1")
    assert [(one["job_id"], one["parameters"]["factor"]) for one in told["jobs"]] == [(job["job_id"], 1.5)]
    assert (await ask(http, page_site, "GET", "history?limit=1000"))[0] == 200
    assert (await ask(http, page_site, "GET", "history?before=yesterday"))[0] == 400
    async with http.get(f"{page_site.url}/api/privacy/export") as answer:
        assert (await answer.read()).startswith(b"PK")
    await until(lambda: not (page_site.data_dir / "export.zip").exists())
    assert (await ask(http, page_site, "POST", "privacy/delete", json={}))[0] == 400
    assert (await ask(http, page_site, "POST", "privacy/delete", json={"confirm": True}))[1]["erased"] == 2


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        *(("application/json", body) for body in (b"{", b"[]", b"null", b'"x"', b"\xff")),
        *((kind, b"nonsense") for kind in ("multipart/form-data", "multipart/form-data; boundary=x", "text/plain")),
    ],
)
async def test_a_broken_body_is_400(page_site: Site, http: Http, kind: str, body: bytes) -> None:
    assert (await ask(http, page_site, "POST", "jobs", data=body, headers={"Content-Type": kind}))[0] == 400


async def test_fifty_jobs_at_once_all_end(page_site: Site, http: Http) -> None:
    answers = await asyncio.gather(*(start(http, page_site) for _ in range(50)))
    assert {status for status, _ in answers} == {202}
    for _, job in answers:
        assert (await finished(http, page_site, job["job_id"]))["state"] == "succeeded"
