"""One of every card that a person may see, for the golden files and the limits of each platform."""

from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from core.budgets.reports import UsageReport, UsageRow
from core.domain import errors as e
from core.domain.identity import Place
from core.domain.job import (
    Delivery,
    InputFacts,
    Job,
    JobState,
    Progress,
    Quote,
    Receipt,
    ReplyAddress,
    Requester,
    Result,
    Source,
)
from core.domain.limits import Limit, LimitStatus, Measure, Scope, ScopeKind, Window
from core.domain.models import MODELS
from core.domain.parameters.spec import Parameters
from core.ports import UnfinishedJobs
from core.presentation import Card, confirmation_card, explain, notice_card, tr
from core.presentation.cards import account, batch, budget, moderation
from core.presentation.cards import job as jobs
from core.presentation.cards.details import comparison, details
from core.presentation.cards.help import help_card
from core.presentation.cards.moderation import queue
from core.presentation.texts import failure_texts
from core.presentation.texts.delivery_texts import undelivered_notice
from core.presentation.texts.operator_texts import admission_question

NOW = 1_800_000_000.0
SAM = Requester("discord", "42", "sam", "7", "9")
DAY_LIMIT = LimitStatus(
    Limit(Scope(ScopeKind.USER, "discord", "7"), Measure.USD, Window.DAY, 2_000_000_000, "moderator"),
    1_627_400_000,
    200_000_000,
    NOW + 3600,
)
BOT_LIMIT = replace(DAY_LIMIT, limit=replace(DAY_LIMIT.limit, amount=5_000_000_000, source="default"))

SETTINGS = account.OwnSettings(
    {"preset": "creative", "factor": 3.0},
    {"logo": {"factor": 4.0, "creativity": 0.2}, "print": {"to": "a4@300dpi", "model": "seedvr2"}},
)


def job(locale: str = "en", *, caption: str = "A rocket on its pad at dawn, *steam* around it.") -> Job:
    """A finished job with everything in it."""
    return Job(
        id="0123456789ab",
        key="k",
        state=JobState.SUCCEEDED,
        requester=replace(SAM, locale=locale),
        source=Source("attachment", name="rocket.jpg"),
        reply=ReplyAddress("discord"),
        parameters=Parameters(creativity=0.5),
        created_at=NOW,
        updated_at=NOW + 60,
        finished_at=NOW + 60,
        input=InputFacts("jpeg", 640, 427, 57_010, "0" * 64, ("first_frame",)),
        quote=Quote(640, 427, 1280, 854, 2, 100_000_000, 200_000_000, True, (DAY_LIMIT,)),
        confirm_by_at=NOW + 600,
        receipt=Receipt(109_300_000, 200_000_000, "units", Decimal("1.093"), 100_000_000),
        result=Result(1280, 854, 1_234_567, "image/png", "r.png", 77, 4.2, caption, "https://bot.example/f/1"),
        delivery=Delivery("original"),
    )


def every_card(locale: str = "en", *, caption: str = "") -> dict[str, Card]:
    """By name."""
    done = job(locale, caption=caption) if caption else job(locale)
    pressed = replace(done, parent_id="earlier")
    over = e.LimitReached(status=DAY_LIMIT, needed=800_000_000, largest_factor=1.58)
    unclear = Receipt(200_000_000, 200_000_000, "unknown")
    crashed = e.ModelFailed(kind="crashed")
    failed = replace(done, state=JobState.FAILED, error=crashed, result=None, receipt=unclear)
    kept = replace(done, delivery=Delivery("kept"))
    members = (UsageRow("42", "sam", 1_930_000_000, 7, 19.3), UsageRow("", "", 10_000_000, 1, 0.1))
    report = UsageReport(
        "workspace", "month", "UTC", "2027-01-01", "2027-01-15", 1_940_000_000, 200_000_000, 8, 19.4, (), members,
        None, play_money=True,
    )  # fmt: skip
    images = [
        batch.Candidate("a.png", 640, 427, 200_000_000),
        batch.Candidate("b.png"),
        batch.Candidate("c.png", 9, 9, 1),
    ]
    hidden = replace(failed, id="queued000001", private=True, state=JobState.QUEUED)
    open_jobs = (replace(done, state=JobState.RUNNING), hidden)
    service: Any = SimpleNamespace(models=MODELS, confirm_above_nanousd=1_000_000_000, play_money=True)
    return {
        "asking": jobs.price_question(done, locale),
        "working": jobs.working(done, Progress("upscaling", percent=40, eta_at=NOW + 90), locale, ends_at=NOW + 60),
        "waiting": jobs.working(done, Progress("waiting", position=3), locale, shared=True, named=False),
        "arrived": jobs.received(done, locale, shared=True, named=False),
        "awaiting": jobs.working(done, Progress("waiting", awaits="answer", until_at=NOW), locale),
        "result": jobs.result(done, (BOT_LIMIT,), Delivery("original"), locale),
        "result_shared": jobs.result(
            pressed, (BOT_LIMIT,), Delivery("webp", "new_message"), locale, shared=True, named=False
        ),
        "closed": jobs.closed(kept, undelivered_notice(kept), locale),
        "deleted": jobs.closed(
            replace(done, images_deleted=True), undelivered_notice(replace(done, images_deleted=True)), locale
        ),
        "failed": jobs.failed(
            failed,
            explain(crashed, locale, receipt=unclear),
            locale,
        ),
        "refused": jobs.failed(replace(failed, state=JobState.REFUSED), explain(over, locale, reference="r1"), locale),
        "cancelled": jobs.failed(
            replace(failed, state=JobState.CANCELLED, error=None),
            failure_texts.cancelled_notice(replace(failed, receipt=Receipt(0, 200_000_000, "none")), locale),
            locale,
        ),
        "details": details(done, locale),
        "comparison": comparison(done, locale),
        "history": account.history([done, failed, replace(failed, state=JobState.REFUSED)], locale),
        "queue": queue(UnfinishedJobs(open_jobs, 5), locale),
        "queue_empty": queue(UnfinishedJobs((), 0), locale),
        "history_empty": account.history([], locale),
        "settings": account.settings(SETTINGS, locale, MODELS),
        "preset_replaced": account.settings(
            replace(SETTINGS, note=account.preset_saved("logo", {"factor": 2.0}, locale)), locale, MODELS
        ),
        "privacy": account.privacy(locale, keep_days=7),
        "ask_erase": confirmation_card(account.erase_action(locale, "42")),
        "erased": account.erased(3, locale),
        "exported": account.exported(locale, whole=False),
        "usage": budget.usage(report, [DAY_LIMIT, BOT_LIMIT], locale),
        "limits": budget.limits([DAY_LIMIT, BOT_LIMIT], locale, note=(tr("Limit set.", locale),)),
        "help": help_card(
            locale,
            [("/usage", "usage")],
            service,
            save_preset="/settings save",
        ),
        "choosing": batch.image_choice("1", images, locale, most=3),
        "chosen": batch.batch_started(images, locale),
        "notice": notice_card(explain(over, locale), locale),
        "verdict": notice_card(
            admission_question(Place("discord", "workspace", "9"), "Photographers", "sam", locale), locale
        ),
        "said": moderation.alert_channel_changed(None, "discord", locale),
    }
