"""What the settings ask for: the provider of the model, limits on pictures, where pictures lie, and money."""

from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from bot.settings import Settings, nanousd, secret
from core.budgets.alerts import send_alerts, send_weekly_reports
from core.budgets.limits_file import load
from core.budgets.reconcile import Books
from core.budgets.service import Budgets
from core.domain.limits import AlertPlace, Measure, Rule, ScopeKind, Window
from core.domain.money import DEFAULT_UNIT_PRICE_NANOUSD
from core.images.renditions import JobMedia
from core.images.service import ImageLimits, ImageService
from core.jobs.disk_budget import DiskShares
from core.jobs.maintenance import MaintenanceTask
from core.jobs.steps import JobContext, PipelineSettings
from core.ports import AppState, Clock, Metrics, NotUsable, Upscaler
from core.presentation import Notice
from core.storage.files.job_files import JobFiles
from core.storage.files.object_store import ObjectStore
from core.storage.jobs import SqlJobStore
from core.storage.ledger import LedgerSettings
from core.storage.ledger.history import fold_history
from core.upscalers.fal import FalConfig, FalUpscaler, OnHalt
from core.upscalers.local import LocalUpscaler
from core.upscalers.sandbox import SandboxConfig, SandboxUpscaler

_DAY_S = 86_400
PICTURE_FOLDERS = ("jobs", "uploads", "sandbox")
"""Where pictures lie in `DATA_DIR`."""


async def provider_problem(upscaler: Upscaler) -> str | None:
    """Why the provider takes nothing from us, for `/readyz`."""
    halted = upscaler.halted
    return None if halted is None else {"credit": "out of credit", "key": "key refused"}[halted.kind]


def make_upscaler(s: Settings, images: ImageService, clock: Clock, metrics: Metrics, on_halt: OnHalt) -> Upscaler:
    """fal with a key, else this machine, or the sandbox. `on_halt` is called once when fal stops taking work."""
    if s.backend != "fal":
        made = LocalUpscaler if s.backend == "local" else SandboxUpscaler
        return made(_on_disk(s), images, clock)
    return FalUpscaler(fal_config(s), clock, on_halt=on_halt, metrics=metrics)


def fal_config(s: Settings) -> FalConfig:
    """How to reach fal, and by which keys."""
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
    """This machine beside fal: for `local` in MODELS, and for its jobs from before that was taken out or fal came.

    One picture at a time, so that a worker is left for the pictures that fal made.
    """
    return {"local": LocalUpscaler(_on_disk(s, slots=1), images, clock)} if s.backend == "fal" else {}


def _on_disk(s: Settings, slots: int = 2) -> SandboxConfig:
    price = s.unit_price_nanousd if s.unit_price_nanousd is not None else DEFAULT_UNIT_PRICE_NANOUSD
    return SandboxConfig(s.data_dir / "sandbox", slots, result_ttl_s=s.retention_days * _DAY_S,
                         unit_price_nanousd=price, models=s.offered)  # fmt: skip


def pipeline_settings(s: Settings) -> PipelineSettings:
    """What the operator allows of a job's way."""
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
    """What the operator allows of pictures."""
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


async def result_file(store: SqlJobStore, media: JobMedia, job_id: str, name: str) -> Path | None:
    """The full result of this job where it is kept and has this name."""
    job = await store.get(job_id)
    if job is None or job.result is None or job.images_deleted or Path(job.result.path).name != name:
        return None
    return (await media.original(job)).path


def object_store(url: str, s: Settings) -> ObjectStore:
    """What the settings say of keys and endpoint counts before the environment. Raises NotUsable."""
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
        raise NotUsable(f"FILES_URL cannot be used: {error}") from error


_ALERTS_EVERY_S = 60
_RECONCILE_EVERY_S = 3600


def ledger_settings(s: Settings) -> LedgerSettings:
    """The operator's limits. Raises NotUsable with every mistake in the file."""
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
        of_fal = at_fal if any(model.backend != "fal" for model in s.offered) else ""
        at_once = Rule(ScopeKind.EVERYTHING, Measure.RUNNING, Window.NOW, s.fal_concurrency, "operator", model=of_fal)
        rules.append(at_once)
    if s.limits_file is not None:
        rules += load(s.limits_file)
    return LedgerSettings(
        rules=rules,
        zone=ZoneInfo(s.quota_timezone),
        user_waiting=s.limit_user_waiting,
        play_money=s.backend != "fal",
    )


def budget_maintenance(budget: Budgets, ctx: JobContext, state: AppState, s: Settings) -> tuple[MaintenanceTask, ...]:
    """Old history each hour; where real money is spent also alerts, and the ledger against fal's bills."""
    fold = partial(fold_history, budget.ledger.database, ctx.clock, s.history_days * 86_400)
    history = MaintenanceTask("history", _RECONCILE_EVERY_S, fold)
    if not ctx.upscaler.real_money:
        return (history,)

    books = Books(ctx.store, budget.ledger, ctx.upscaler, state)

    async def notify(place: AlertPlace, notice: Notice) -> None:
        await ctx.adapter(place.platform).notify(place.workspace_id, place.channel_id, notice)

    async def reconcile() -> None:
        if await state.claim("turns", "reconcile", ttl_s=_RECONCILE_EVERY_S / 2):
            await books.look(ctx.metrics, ctx.operator)

    return (
        history,
        MaintenanceTask("alerts", _ALERTS_EVERY_S, lambda: send_alerts(budget, state, notify)),
        MaintenanceTask("reconcile", _RECONCILE_EVERY_S, reconcile),
        MaintenanceTask("weekly", _RECONCILE_EVERY_S, lambda: send_weekly_reports(budget, state, notify)),
    )
