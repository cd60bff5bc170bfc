"""Traces: one per job, one span per step, over processes; and the message if the packages are missing."""

import asyncio
import sys

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bot.observability.metrics import PrometheusMetrics
from bot.observability.tracing import StageSpans
from core.ports import NotUsable
from tests.served import served


async def test_the_steps_of_a_job_are_spans_of_one_trace_even_of_two_processes() -> None:
    sent = ExportTraceServiceRequest()

    async def collect(request: web.Request) -> web.Response:
        data = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            import gzip

            data = gzip.decompress(data)
        sent.MergeFromString(data)
        return web.Response(content_type="application/x-protobuf", body=b"")

    app = web.Application()
    app.router.add_post("/v1/traces", collect)
    async with served(app) as address:
        for stages in (("prepare", "submit"), ("deliver",)):
            metrics = PrometheusMetrics("1", StageSpans(address, "1"))
            for stage in stages:
                metrics.stage(stage, 0.5, "a-job")
            metrics.stage("prepare", 0.5, "another")
            await asyncio.wait_for(metrics.close(), 20)
    spans = [span for r in sent.resource_spans for s in r.scope_spans for span in s.spans]
    of_job = [span for span in spans if any(a.value.string_value == "a-job" for a in span.attributes)]
    assert sorted(span.name for span in of_job) == ["deliver", "prepare", "submit"]
    assert len({span.trace_id for span in of_job}) == 1
    assert len({span.trace_id for span in spans}) == 2
    assert all(span.end_time_unix_nano - span.start_time_unix_nano == 500_000_000 for span in of_job)


def test_missing_packages_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(NotUsable, match="needs further packages"):
        StageSpans("http://127.0.0.1:4318", "1")
