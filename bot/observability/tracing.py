"""Optional OpenTelemetry traces: one trace per job, one span per step, sent to the operator's collector.

A job outlives processes, so no span is kept open for it: each step is sent when it is over, under a trace id derived
from the job's id. Needs the extra `otel`. No span contains a link, a caption or a picture.
"""

import hashlib
import time

from core.ports import NotUsable


class StageSpans:
    """Sends a span for each step that ended, in a thread of its own, without blocking."""

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
