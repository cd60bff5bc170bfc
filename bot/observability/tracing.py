"""Optional traces by OpenTelemetry: one trace a job, one span a step, sent to the collector of the operator's choice.

A job outlives processes, so no span is kept open for it: each step is sent when it is over, under a trace whose id is
made from the job's. Needs the extra `otel`; a link, a caption or a picture is in none of it.
"""

import hashlib
import time

from core.ports import NotUsable


class StageSpans:
    """Sends a span for each step that ended. Sending happens in a thread of its own and never waits here."""

    def __init__(self, endpoint: str, version: str) -> None:
        """`endpoint` is the collector's base address. Raises NotUsable."""
        try:
            from opentelemetry import trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as missing:
            raise NotUsable(
                "OTEL_EXPORTER_OTLP_ENDPOINT needs further packages: .venv/bin/python -m pip install '.[otel]'"
            ) from missing
        self._trace = trace
        resource = Resource.create({"service.name": "upscale-bot", "service.version": version})
        self._provider = TracerProvider(resource=resource)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=10)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("upscale-bot", version)

    def stage(self, stage: str, seconds_s: float, job_id: str) -> None:
        digest = hashlib.sha256(job_id.encode()).digest()
        parent = self._trace.SpanContext(
            trace_id=int.from_bytes(digest[:16], "big"),
            span_id=int.from_bytes(digest[16:24], "big"),
            is_remote=True,
            trace_flags=self._trace.TraceFlags(self._trace.TraceFlags.SAMPLED),
        )
        context = self._trace.set_span_in_context(self._trace.NonRecordingSpan(parent))
        ended_ns = time.time_ns()
        began_ns = ended_ns - int(seconds_s * 1e9)
        span = self._tracer.start_span(stage, context=context, start_time=began_ns, attributes={"upscale.job": job_id})
        span.end(ended_ns)

    def close(self) -> None:
        self._provider.force_flush(10_000)
        self._provider.shutdown()
