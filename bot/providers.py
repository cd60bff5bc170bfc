"""Build parts from the settings: the model's provider, picture limits, file storage, the ledger's rules."""

import asyncio
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from bot.settings import Settings, nanousd, secret
from core.budgets.alerts import send_alerts, send_weekly_reports
from core.budgets.limits_file import load
from core.budgets.reconcile import Reconciler
from core.budgets.service import Budgets
from core.domain.limits import AlertPlace, Measure, Rule, ScopeKind, Window
from core.domain.money import DEFAULT_UNIT_PRICE_NANOUSD
from core.images.renditions import JobMedia
from core.images.service import ImageLimits, ImageService
from core.jobs.disk_budget import DiskShares, free_bytes
from core.jobs.maintenance import MaintenanceTask
from core.jobs.steps import JobContext, PipelineSettings
from core.ports import AppState, Clock, Finding, Metrics, NotUsable, Upscaler
from core.presentation import Notice
from core.storage.files.job_files import JobFiles
from core.storage.files.object_store import ObjectStore, StoreState
from core.storage.jobs import SqlJobStore
from core.storage.ledger import LedgerSettings
from core.storage.ledger.history import fold_history
from core.upscalers.fal import FalConfig, FalUpscaler, OnHalt
from core.upscalers.local import LocalUpscaler
from core.upscalers.sandbox import SandboxConfig, SandboxUpscaler

_DAY_S = 86_400
_LEAST_FREE_BYTES = 1_000_000
"""Below it the database's own file cannot grow, whatever DISK_FREE_BYTES says."""
PICTURE_FOLDERS = ("jobs", "uploads", "sandbox")
"""The folders of `DATA_DIR` that contain pictures."""


async def disk_problem(s: Settings) -> str | None:
    """Return whether the disk lacks the space without which nothing new is taken, for `/readyz`."""
    free = await asyncio.to_thread(free_bytes, s.data_dir)
    return "nearly full" if free < max(s.disk_free_bytes, _LEAST_FREE_BYTES) else None


async def provider_problem(upscaler: Upscaler) -> str | None:
    """Return why the provider refuses our account, for `/readyz`."""
    halted = upscaler.halted
    return None if halted is None else {"credit": "out of credit", "key": "key refused"}[halted.kind]


def make_upscaler(s: Settings, images: ImageService, clock: Clock, metrics: Metrics, on_halt: OnHalt) -> Upscaler:
    """Make the upscaler of `backend`. `on_halt` is called once when fal starts to refuse our account."""
    if s.backend != "fal":
        made = LocalUpscaler if s.backend == "local" else SandboxUpscaler
        return made(_on_disk(s), images, clock)
    return FalUpscaler(fal_config(s), clock, on_halt=on_halt, metrics=metrics)


def fal_config(s: Settings) -> FalConfig:
    return FalConfig(
        key=secret(s.fal_key) or "",
        admin_key=secret(s.fal_admin_key),
        queue_url=s.fal_queue_url,
        rest_url=s.fal_rest_url,
        cdn_url=s.fal_cdn_url,
        api_url=s.fal_api_url,
        public_url=s.public_url,
        retention_s=s.retention_days * _DAY_S,
        models=s.offered,
    )


def make_other_providers(s: Settings, images: ImageService, clock: Clock) -> dict[str, Upscaler]:
    """Make the local upscaler beside another, for `local` on offer and for its jobs from before the settings changed.

    It runs one picture at a time, so that a worker is left for the other's pictures.
    """
    return {"local": LocalUpscaler(_on_disk(s, slots=1), images, clock)} if s.backend != "local" else {}


def _on_disk(s: Settings, slots: int = 2) -> SandboxConfig:
    price = s.unit_price_nanousd if s.unit_price_nanousd is not None else DEFAULT_UNIT_PRICE_NANOUSD
    return SandboxConfig(s.data_dir / "sandbox", slots, result_ttl_s=s.retention_days * _DAY_S,
                         unit_price_nanousd=price, models=s.offered)  # fmt: skip


def pipeline_settings(s: Settings) -> PipelineSettings:
    shares = DiskShares(
        unpaid_member=s.disk_unpaid_bytes, member=s.disk_member_bytes, all=s.disk_all_bytes, free=s.disk_free_bytes
    )
    return PipelineSettings(
        confirm_above_nanousd=s.confirm_above_nanousd,
        collect_retry_s=s.retention_days * _DAY_S,
        disk=shares,
        shares_progress=not s.database.startswith("sqlite"),
    )


def image_limits(s: Settings) -> ImageLimits:
    return ImageLimits(
        input_bytes=s.max_input_bytes,
        input_pixels=s.max_input_pixels,
        min_side_px=s.min_input_side_px,
        max_output_side_px=s.max_output_side_px,
        output_pixels=s.max_output_pixels,
    )


def job_files(s: Settings) -> JobFiles:
    """Raises NotUsable."""
    if s.files_url is None:
        return JobFiles(s.data_dir)
    return JobFiles(s.data_dir, object_store(s.files_url, s))


_STORE_PROBLEMS: dict[StoreState, tuple[str, str]] = {
    "refuses": (
        "The object store of FILES_URL refuses the key.",
        "Look at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and at what that key may do.",
    ),
    "no bucket": (
        "The object store knows no such bucket as FILES_URL names.",
        "Look at FILES_URL, AWS_REGION and AWS_ENDPOINT_URL.",
    ),
    "away": (
        "The object store of FILES_URL does not answer.",
        "Look at AWS_ENDPOINT_URL and the network, and whether AWS_ACCESS_KEY_ID is set.",
    ),
}


async def store_problem(s: Settings) -> tuple[StoreState, Finding] | None:
    """Probe the object store, if there is one."""
    state = await object_store(s.files_url, s).probe() if s.files_url is not None else "ok"
    return (state, Finding("problem", *_STORE_PROBLEMS[state])) if state != "ok" else None


async def result_file(store: SqlJobStore, media: JobMedia, job_id: str, name: str) -> Path | None:
    """Return the full result of this job if it is kept and has this name."""
    job = await store.get(job_id)
    if job is None or job.result is None or job.images_deleted or Path(job.result.path).name != name:
        return None
    return (await media.original(job)).path


def object_store(url: str, s: Settings) -> ObjectStore:
    """Open the object store. Keys and endpoint of the settings override the environment's. Raises NotUsable."""
    named = {
        "access_key_id": s.aws_access_key_id,
        "secret_access_key": secret(s.aws_secret_access_key),
        "region": s.aws_region,
        "endpoint": s.aws_endpoint_url,
    }
    s3 = url.startswith(("s3://", "s3a://"))
    try:
        return ObjectStore(url, {name: value for name, value in named.items() if value and s3})
    except ValueError as error:
        raise NotUsable("FILES_URL is no address of an object store; it looks like s3://bucket/prefix.") from error


_ALERTS_INTERVAL_S = 60
_RECONCILE_INTERVAL_S = 3600


def ledger_settings(s: Settings) -> LedgerSettings:
    """Build the operator's limits. Raises NotUsable with every mistake in the limits file."""
    money = {
        ScopeKind.USER: s.limit_user_day_usd,
        ScopeKind.WORKSPACE: s.limit_workspace_day_usd,
        ScopeKind.EVERYTHING: s.limit_global_day_usd,
    }
    rules = [Rule(kind, Measure.USD, Window.DAY, nanousd(d), "default") for kind, d in money.items() if d is not None]
    if s.limit_user_running is not None:
        rules.append(Rule(ScopeKind.USER, Measure.RUNNING, Window.NOW, s.limit_user_running, "default"))
    if s.fal_concurrency is not None and s.backend == "fal":
        at_fal = ",".join(model.id for model in s.offered.known if model.backend == "fal")
        models = at_fal if any(model.backend != "fal" for model in s.offered) else ""
        running = Rule(ScopeKind.EVERYTHING, Measure.RUNNING, Window.NOW, s.fal_concurrency, "operator", model=models)
        rules.append(running)
    if s.limits_file is not None:
        rules += load(s.limits_file)
    return LedgerSettings(
        rules=rules,
        zone=ZoneInfo(s.quota_timezone),
        user_waiting=s.limit_user_waiting,
        play_money=s.backend != "fal",
    )


def budget_maintenance(budget: Budgets, ctx: JobContext, state: AppState, s: Settings) -> tuple[MaintenanceTask, ...]:
    """Fold old history hourly; if real money is spent, also send alerts and reconcile with fal's bills."""
    fold = partial(fold_history, budget.ledger.database, ctx.clock, s.history_days * _DAY_S)
    history = MaintenanceTask("history", _RECONCILE_INTERVAL_S, fold)
    if not ctx.upscaler.real_money:
        return (history,)

    books = Reconciler(ctx.store, budget.ledger, ctx.upscaler, state)

    async def notify(place: AlertPlace, notice: Notice) -> None:
        await ctx.adapter(place.platform).notify(place.workspace_id, place.channel_id, notice)

    async def reconcile() -> None:
        if await state.claim("turns", "reconcile", ttl_s=_RECONCILE_INTERVAL_S / 2):
            await books.reconcile_new(ctx.metrics, ctx.operator)

    return (
        history,
        MaintenanceTask("alerts", _ALERTS_INTERVAL_S, lambda: send_alerts(budget, state, notify)),
        MaintenanceTask("reconcile", _RECONCILE_INTERVAL_S, reconcile),
        MaintenanceTask("weekly", _RECONCILE_INTERVAL_S, lambda: send_weekly_reports(budget, state, notify)),
    )
