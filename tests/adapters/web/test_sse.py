"""Event streams: one event per change, ids, resuming, end of stream."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from adapters.web.connection import event_stream as sse
from tests.adapters.web.conftest import form
from tests.adapters.web.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="session")
Http = aiohttp.ClientSession


async def begin(http: Http, site: Site) -> str:
    async with http.post(f"{site.url}/api/jobs", data=form(text="2x")) as answer:
        return str((await answer.json())["job_id"])


async def events(answer: aiohttp.ClientResponse, stop_after: int = 1000) -> list[tuple[int, dict[str, Any]]]:
    """The stream's events as (id, data), until it ends or there are `enough`."""
    seen: list[tuple[int, dict[str, Any]]] = []
    last = 0
    async for raw in answer.content:
        line = raw.decode().rstrip("\n")
        if line.startswith("id: "):
            last = int(line[4:])
        if line.startswith("data: "):
            seen.append((last, json.loads(line[6:])))
            if len(seen) >= stop_after:
                break
    return seen


async def test_a_stream_tells_each_change_once_and_ends_after_the_terminal_one(page_site: Site, http: Http) -> None:
    page_site.service.gates["waiting"] = asyncio.Event()
    job_id = await begin(http, page_site)
    async with http.get(f"{page_site.url}/api/jobs/{job_id}/events") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-store"
        page_site.service.gates["waiting"].set()
        seen = await events(answer)
    ids = [number for number, _ in seen]
    assert ids == sorted(set(ids))
    assert [data["type"] for _, data in seen].count("finished") == 1
    assert seen[-1][1]["type"] == "finished"
    assert seen[-1][1]["state"] == "succeeded"
    stages = [data["progress"]["stage"] for _, data in seen if data["progress"]]
    assert [stage for at, stage in enumerate(stages) if at == 0 or stages[at - 1] != stage] == [
        "preparing",
        "waiting",
        "upscaling",
        "delivering",
    ]


async def test_a_stream_speaks_the_language_of_the_browser_that_reads_it(page_site: Site, http: Http) -> None:
    job_id = await begin(http, page_site)
    async with http.get(f"{page_site.url}/api/jobs/{job_id}/events", headers={"Accept-Language": "de"}) as answer:
        seen = await events(answer)
    assert seen[-1][1]["card"]["title"] == "2× vergrößert"


async def test_a_stream_resumes_after_the_last_event_seen(page_site: Site, http: Http) -> None:
    page_site.service.gates["upscaling"] = asyncio.Event()
    job_id = await begin(http, page_site)
    url = f"{page_site.url}/api/jobs/{job_id}/events"
    async with http.get(url) as answer:
        first = await events(answer, stop_after=3)
    page_site.service.gates["upscaling"].set()
    async with http.get(url, headers={"Last-Event-ID": str(first[-1][0])}) as answer:
        rest = await events(answer)
    assert {number for number, _ in first}.isdisjoint({number for number, _ in rest})
    assert all(number > first[-1][0] for number, _ in rest)
    assert rest[-1][1]["state"] == "succeeded"
    async with http.get(url, headers={"Last-Event-ID": str(rest[-1][0])}) as answer:
        assert (answer.status, await answer.read()) == (204, b"")
    async with http.get(url, headers={"Last-Event-ID": str(first[-1][0])}) as answer:
        assert (await events(answer))[-1][1]["state"] == "succeeded"


@pytest.mark.parametrize("header", ["", "abc", "-1", "9" * 40, "1.5"])
async def test_a_nonsense_event_id_starts_from_the_beginning(page_site: Site, http: Http, header: str) -> None:
    job_id = await begin(http, page_site)
    async with http.get(f"{page_site.url}/api/jobs/{job_id}/events", headers={"Last-Event-ID": header}) as answer:
        assert (await events(answer))[-1][1]["state"] == "succeeded"


async def test_a_silent_stream_is_kept_alive_by_comments(
    page_site: Site, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_S", 0.02)
    page_site.service.gates["upscaling"] = asyncio.Event()
    job_id = await begin(http, page_site)
    async with http.get(f"{page_site.url}/api/jobs/{job_id}/events") as answer:
        async for raw in answer.content:
            if raw.startswith(b": keep-alive"):
                break
        page_site.service.gates["upscaling"].set()
        assert (await events(answer))[-1][1]["state"] == "succeeded"


async def test_one_stream_carries_many_jobs_and_ends_when_all_are_over(page_site: Site, http: Http) -> None:
    jobs = [await begin(http, page_site) for _ in range(5)]
    async with http.get(f"{page_site.url}/api/events?jobs={','.join([*jobs, 'unknown00000'])}") as answer:
        seen = await events(answer)
    done = {data["job_id"] for _, data in seen if data["type"] == "finished"}
    assert done == set(jobs)


async def test_streams_end_when_the_process_shuts_down(page_site: Site, http: Http) -> None:
    page_site.service.gates["upscaling"] = asyncio.Event()
    job_id = await begin(http, page_site)
    async with http.get(f"{page_site.url}/api/jobs/{job_id}/events") as answer:
        await events(answer, stop_after=1)
        page_site.adapter._jobs.streams.close()
        async with asyncio.timeout(30):
            await events(answer)


async def test_a_stream_whose_reader_leaves_leaves_no_task(page_site: Site, http: Http) -> None:
    page_site.service.gates["upscaling"] = asyncio.Event()
    job_id = await begin(http, page_site)
    async with http.get(f"{page_site.url}/api/jobs/{job_id}/events") as answer:
        await events(answer, stop_after=1)
        assert page_site.adapter._jobs.streams._open == 1
        answer.close()
    page_site.service.gates["upscaling"].set()
    for _ in range(200):
        if page_site.adapter._jobs.streams._open == 0:
            break
        await asyncio.sleep(0.01)
    assert page_site.adapter._jobs.streams._open == 0


async def test_streams_follow_a_bounded_number_of_jobs_in_all(
    page_site: Site, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "MAX_WATCHED_JOBS", 3)
    page_site.service.gates["waiting"] = asyncio.Event()
    jobs = ",".join([await begin(http, page_site), await begin(http, page_site)])
    async with http.get(f"{page_site.url}/api/events?jobs={jobs}") as first:
        assert first.status == 200
        async with http.get(f"{page_site.url}/api/events?jobs={jobs}") as second:
            assert (second.status, second.headers["Retry-After"]) == (503, "5")
            assert (await second.json())["error"]["code"] == "busy"
        page_site.service.gates["waiting"].set()
        await events(first)
    async with http.get(f"{page_site.url}/api/events?jobs={jobs}") as third:
        assert third.status == 200
