"""The steps of a job: prepare, hold, submit, wait, collect, deliver, announce. Each returns the name of the next.

Every step is idempotent: after a crash anywhere inside it, a repeat finds the earlier work in the job's row and in the
ledger. The engine only calls the steps in sequence.
"""

from core.jobs.context import JobContext, PipelineSettings, StepName
from core.jobs.steps.runner import Pipeline

__all__ = ["JobContext", "Pipeline", "PipelineSettings", "StepName"]
