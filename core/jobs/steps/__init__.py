"""The steps of a job as plain async functions: prepare, hold, submit, wait, collect, deliver, announce.

Each step may be run again after a crash at any point inside it and then finds what it did before: the jobs row and
the ledger are the truth, the engine only sequences. A step returns the name of the next one.
"""

from core.jobs.context import JobContext, PipelineSettings, StepName
from core.jobs.steps.runner import Pipeline

__all__ = ["JobContext", "Pipeline", "PipelineSettings", "StepName"]
