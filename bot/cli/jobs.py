"""`python -m bot job REF` prints everything known about a reference; also `history`, and a job's receipt."""

from __future__ import annotations

import asyncio
import dataclasses
import json as json_module
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from bot.cli.console import CommandError, Exit, err, file_or_folder, format_time, operator, out, styled
from bot.cli.files import copy_out, title
from core.domain.errors import to_json
from core.domain.job import Job, JobState
from core.domain.limits import LimitStatus
from core.domain.media_types import suffix_for
from core.domain.money import NANOUSD_PER_USD
from core.presentation import duration, explain, file_size, size
from core.presentation.formats import usd
from core.presentation.texts import delivery_texts, price_texts, result_texts
from core.presentation.texts.result_texts import image_name

if TYPE_CHECKING:
    from bot.app import App

_LOOKALIKES = str.maketrans("oil", "011")
"""References have no o, i or l, but people may read or hear them."""

_STATES = {
    JobState.AWAITING_CONFIRMATION: "waits for its requester to agree to the price",
    JobState.QUEUED: "accepted, not yet at the model",
    JobState.RUNNING: "at the model",
    JobState.DELIVERING: "made, being delivered",
    JobState.SUCCEEDED: "done",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
    JobState.REFUSED: "refused before anything was spent",
}
_SUBMITS = {
    "none": "nothing was sent",
    "intent": "about to be sent",
    "sending": "being sent; whether it arrived is not known yet",
    "sent": "sent",
}


def _wanted(reference: str) -> str:
    return reference.strip().lower().replace("-", "").translate(_LOOKALIKES)


async def job(
    app: App,
    reference: Annotated[str, typer.Argument(help="The reference that somebody was shown")],
    save: Annotated[
        Path | None,
        typer.Option(parser=file_or_folder, metavar="PATH", help="Write the finished image to this file or folder"),
    ] = None,
) -> Exit | None:
    """Explain a job by its reference, or hand its image out."""
    found = await app.store.get(_wanted(reference))
    incident = await app.store.incident(_wanted(reference))
    if found is None and (incident is None or save is not None):
        raise CommandError(
            f"Nothing is known of {reference}. Images and their jobs are forgotten when members ask for it."
        )
    if found is not None and save is not None:
        return await _save_result(app, found, save)
    lines = list(_job_lines(found)) if found is not None else []
    if incident is not None:
        at = format_time(float(incident["at"]))
        lines.append(("incident", f"{incident['reference']} at {at}, in {incident['area']}"))
        lines.append(("kind", f"{incident['kind']}; the log has all of it under this reference"))
    for name, text in lines:
        out.print(styled((f"{name:>12}", "dim"), f"  {text}"))
    return None


async def _save_result(app: App, job: Job, target: Path) -> Exit | None:
    if job.result is None or job.images_deleted:
        err.print(f"No image is kept for {job.id}.")
        return Exit.FAILED
    kept = app.ctx.files.absolute(job.result.path)
    path = target / f"{job.id}{suffix_for(job.result.mime)}" if target.is_dir() else target
    if path.exists():
        raise CommandError(f"{path} exists; name another file.")
    try:
        await asyncio.to_thread(copy_out, kept, path)
    except FileNotFoundError:
        err.print(f"The image of {job.id} is no longer on this machine.")
        return Exit.FAILED
    out.print(str(path))
    return None


async def history(app: App, limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100)] = 10) -> None:
    """The last images made in this terminal, newest first."""
    jobs = await app.service.history(operator(), limit=limit, refused=False)
    if not jobs:
        err.print("No image has been made here yet.")
    for job in jobs:
        size_text = result_texts.size_line(job, "en") if job.result is not None else _STATES[job.state]
        kept = "" if job.result is None or not job.images_deleted else "  (deleted)"
        made_at, name = format_time(job.created_at), image_name(job, "en")
        out.print(f"{job.id}  {made_at}  {name}  {size_text}  {job.parameters.model}{kept}")


def _job_lines(job: Job) -> Iterator[tuple[str, str]]:
    yield "job", f"{job.id}: {_STATES[job.state]}"
    yield from _happened(job)
    who = job.requester
    place = ", ".join(part for part in (who.platform, who.workspace_id, who.channel_id) if part)
    yield "asked by", f"{who.user_name or who.user_id} ({who.user_id}) on {place}"
    yield from _times(job)
    yield "image", _picture(job)
    yield "parameters", result_texts.parameters_line(job, "en")
    if job.quote is not None:
        yield "estimate", price_texts.price_line(job.quote, "en")
    yield "charge", _charge(job)
    yield from _provider(job)
    if job.result is not None:
        yield "result", f"{result_texts.size_line(job, 'en')}, {file_size(job.result.bytes, 'en')}, {job.result.mime}"
    if job.delivery is not None:
        yield (
            "delivered",
            delivery_texts.delivery_text(job.delivery, "en") or f"as {job.delivery.shape.replace('_', ' ')}",
        )
    if job.parent_id:
        yield "made from", f"job {job.parent_id}"


def _happened(job: Job) -> Iterator[tuple[str, str]]:
    if job.error is not None:
        notice = explain(job.error, "en")
        yield "what", " ".join(part for part in (notice.what, notice.advice) if part)
        yield "code", job.error.code
    if job.cancel_requested_by:
        yield "stopped by", job.cancel_requested_by
    if job.progress is not None and not job.state.terminal:
        yield "stage", job.progress.stage
    if job.images_deleted:
        yield "images", "deleted"


def _times(job: Job) -> Iterator[tuple[str, str]]:
    yield "asked at", format_time(job.created_at)
    if job.confirm_by_at is not None and job.state is JobState.AWAITING_CONFIRMATION:
        yield "price until", format_time(job.confirm_by_at)
    if job.finished_at is not None:
        yield "ended at", f"{format_time(job.finished_at)}, after {duration(job.finished_at - job.created_at, 'en')}"
    elif job.updated_at:  # 0 for a restored job that no process has run yet
        yield "last change", format_time(job.updated_at)


def _picture(job: Job) -> str:
    kinds = {
        "link": "a link",
        "attachment": "an attachment",
        "upload": "an upload",
        "job_input": f"the image of job {job.source.job_id}",
        "job_result": f"the result of job {job.source.job_id}",
    }
    if job.input is None:
        return f"{kinds[job.source.kind]}, not read"
    given = job.input
    facts = f"{given.format.upper()}, {size(given.width_px, given.height_px)}, {file_size(given.bytes, 'en')}"
    return f"{kinds[job.source.kind]}: {facts}, SHA-256 {given.sha256[:16]}…"


def _charge(job: Job) -> str:
    if job.receipt is None:
        return "nothing settled yet"
    text = price_texts.charge_text(job.receipt, "en")
    if job.receipt.units is not None and not job.receipt.play_money:
        price = usd(job.receipt.unit_price_nanousd, "en")
        text += f" fal billed {job.receipt.units.normalize():f} × {price}."
    return text


def _provider(job: Job) -> Iterator[tuple[str, str]]:
    if job.remote is None:
        return
    yield "model", f"{job.remote.backend}: {_SUBMITS[job.remote.submit]}"
    if job.remote.request_id:
        yield "request id", job.remote.request_id
    if job.remote.intent_at:
        yield "sent at", format_time(job.remote.intent_at)
    if job.remote.possible_double:
        yield "careful", "the model may have been asked twice; compare with `python -m bot reconcile`"


def print_result(
    picture: Path | str, job: Job, path: Path | None, left: tuple[LimitStatus, ...], *, json: bool, to: Console = out
) -> None:
    """Print the receipt of a job that ended. If there is no picture (`path` is None), print only JSON."""
    if json:
        typer.echo(json_module.dumps(as_json(picture, job, path), ensure_ascii=False), file=to.file)
    elif path is not None and job.result is not None:
        to.print(styled(("✔", "green"), f" {title(picture)} → ", (str(path), "bold")))
        asked = result_texts.size_line(job, "en"), result_texts.parameters_line(job, "en")
        lines = (*asked, price_texts.receipt_line(job, left, "en"), result_texts.notes_text(job, "en"))
        for line in "\n".join(filter(None, (*lines, job.result.caption))).splitlines():
            to.print(f"  {line}")
        to.print(styled((f"  reference {job.id}", "dim")))


def as_json(picture: Path | str, job: Job, path: Path | None) -> dict[str, Any]:
    """Return a flat record of a job. Money is US dollars; sizes are pixels and bytes; missing values are null."""
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
        "error": job.error and {**to_json(job.error), "message": explain(job.error, "en", reference=job.id).what},
    }
