"""What a finished job looks like in a terminal, or as one line of JSON for scripts."""

import dataclasses
import json as json_module
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from bot.cli.console import out, styled
from bot.cli.files import title
from core.domain.errors import to_json
from core.domain.job import Job
from core.domain.limits import LimitStatus
from core.domain.money import NANOUSD_PER_USD
from core.presentation import explain
from core.presentation.job_texts import notes_text, parameters_line, receipt_line, size_line


def print_result(
    picture: Path | str, job: Job, path: Path | None, left: tuple[LimitStatus, ...], *, json: bool, to: Console = out
) -> None:
    """The receipt of a job that ended. `path` is None where there is no picture; then only JSON is printed."""
    if json:
        typer.echo(json_module.dumps(as_json(picture, job, path), ensure_ascii=False), file=to.file)
    elif path is not None and job.result is not None:
        to.print(styled(("✔", "green"), f" {title(picture)} → ", (str(path), "bold")))
        lines = (size_line(job, "en"), parameters_line(job, "en"), receipt_line(job, left, "en"), notes_text(job, "en"))
        for line in filter(None, (*lines, job.result.caption)):
            to.print(f"  {line}")
        to.print(styled((f"  reference {job.id}", "dim")))


def as_json(picture: Path | str, job: Job, path: Path | None) -> dict[str, Any]:
    """One job as a flat record. Money is US dollars; sizes are pixels and bytes; absent values are null."""
    result, receipt = job.result, job.receipt
    return {
        "input": str(picture),
        "output": str(path) if path is not None else None,
        "job_id": job.id,
        "state": job.state.value,
        "parameters": dataclasses.asdict(job.parameters),
        "width": result.width_px if result else None,
        "height": result.height_px if result else None,
        "file_size": result.bytes if result else None,
        "content_type": result.mime if result else None,
        "seed": result.seed if result else job.parameters.seed,
        "repeat_of": (result.repeat_of or None) if result else None,
        "inference_s": result.inference_s if result else None,
        "caption": result.caption if result else None,
        "charged_usd": receipt.charged_nanousd / NANOUSD_PER_USD if receipt else None,
        "estimate_usd": receipt.estimate_nanousd / NANOUSD_PER_USD if receipt else None,
        "charge_known": receipt.basis != "unknown" if receipt else None,
        "play_money": receipt.play_money if receipt else None,
        "error": _error(job),
    }


def _error(job: Job) -> dict[str, Any] | None:
    if job.error is None:
        return None
    return {**to_json(job.error), "message": explain(job.error, "en", reference=job.id).what}
