"""A job's messages, and Slack's own layout of help, usage, history, defaults and the Home tab. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from adapters.slack.views import blocks as b
from adapters.slack.views.blocks import Block, Content
from adapters.slack.views.card import BAR_CELLS, draw
from core.budgets.reports import UsageReport
from core.domain.job import Delivery, Job, JobState, Progress
from core.domain.limits import LimitStatus, Measure
from core.domain.models import Models
from core.jobs.service import JobService
from core.presentation import Action, Card, Link, Notice, bar, cut, labelled, line_text, plain_card
from core.presentation.cards import account, budget
from core.presentation.cards import job as cards
from core.presentation.cards.account import OwnSettings
from core.presentation.cards.help import help_card, other_ways
from core.presentation.texts import result_texts
from core.presentation.texts.delivery_texts import send_again_text
from core.presentation.texts.form_texts import form_text
from core.presentation.texts.result_texts import image_name, ready_text


def _reader(job: Job, *, moved: bool = False) -> dict[str, bool]:
    """Who reads the job's message, `moved` to a direct message or not. Slack does not show who requested it."""
    direct = job.private or moved or job.requester.channel_id.startswith("D")
    return {"shared": not direct, "named": False}


def working(job: Job, progress: Progress, *, streamed: bool = False) -> Content:
    """The message while the job runs. `streamed`: task cards below it show the stages, so it does not."""
    card = cards.working(job, progress, job.requester.locale, **_reader(job))
    if streamed:
        card = replace(card, bar=None, paragraphs=card.paragraphs[1:], summary=image_name(job, job.requester.locale))
    return draw(card)


def arrived(job: Job) -> Content:
    return draw(cards.received(job, job.requester.locale, **_reader(job)))


def question(job: Job) -> Content:
    return draw(cards.price_question(job, job.requester.locale, **_reader(job)))


def result(
    job: Job,
    left: tuple[LimitStatus, ...],
    delivery: Delivery,
    *,
    image_id: str | None,
    can_share: bool = False,
    file_ids: tuple[str, ...] = (),
    stream_ts: str = "",
) -> Content:
    """The finished image. The delete button carries the files and messages (`m` + ts) to delete with it."""
    locale = job.requester.locale
    moved = delivery.elsewhere == "direct_message"
    card = cards.result(job, left, delivery, locale, can_share=can_share, **_reader(job, moved=moved))
    ready = " · ".join(part for part in (ready_text(job, locale), result_texts.size_line(job, locale)) if part)
    summary = ". ".join(part for part in (ready, cut(card.caption, 300)) if part)
    card = replace(card, summary=summary, name=image_name(job, locale))
    return draw(card, image_id=image_id, deleted_with=(*file_ids, f"m{stream_ts}") if stream_ts else file_ids)


def failure(job: Job, notice: Notice) -> Content:
    return draw(cards.failed(job, notice, job.requester.locale, shared=_reader(job)["shared"]))


def closed(job: Job, notice: Notice) -> Content:
    return draw(cards.closed(job, notice, job.requester.locale))


def done(job: Job) -> Content:
    """The final state of a progress message that Slack refuses to delete."""
    return draw(plain_card(ready_text(job, job.requester.locale), tone="done"))


def full_file(job: Job, link: str) -> Content:
    """A link to the full file, posted under a result that cannot show it inline."""
    locale = job.requester.locale
    label = result_texts.full_file_text(locale)
    summary = labelled(label, image_name(job, locale), locale)
    return draw(Card("done", paragraphs=((Link(label, link),),), summary=summary))


SAVE_PRESET = "save logo 4x creativity=0.2"
DAYS_SHOWN = 14
_TYPED = {
    " https://… factor=3": "upscale",
    " usage": "usage",
    " history": "history",
    " settings factor=3 creative": "settings_set",
    " privacy": "privacy",
}
_TYPED_BY_MODERATORS = {
    " queue": "queue_here",
    " quota set user day $5": "quota_set",
    " quota sponsor #channel $20 7 days": "quota_sponsor",
    " quota add @member $2 today": "quota_add",
    " quota history": "quota_history",
    " quota presets #channel 2x faithful": "quota_presets",
    " quota alerts #channel": "quota_alerts",
    " quota pause · resume": "quota_pause_here",
}


def help_of(service: JobService, command: str, locale: str, *, moderator: bool) -> Card:
    typed = {"": "form"} | _TYPED | (_TYPED_BY_MODERATORS if moderator else {})
    return help_card(
        locale,
        [(f"{command}{words}", key) for words, key in typed.items()],
        service,
        save_preset=f"{command} settings {SAVE_PRESET}",
        ways=[other_ways(locale)],
        actions=(Action("open_form", form_text("title", locale), style="primary"),),
    )


def days_table(report: UsageReport, locale: str) -> Block | None:
    """The last days with jobs as a native table with bars. Slack accepts tables in messages only."""
    days = budget.daily_rows(report, locale)[-DAYS_SHOWN:]
    if not days:
        return None
    rows = [(*budget.day_heads(locale), " "), *((*words, bar(share, BAR_CELLS)) for words, share in days)]
    return {"type": "table", "rows": [[{"type": "raw_text", "text": cell} for cell in row] for row in rows]}


def history(jobs: Sequence[Job], locale: str) -> Content:
    card = account.history(jobs, locale)
    if not card.choices:
        return draw(card)
    rows = [_history_row(job, locale) for job in jobs if job.state is not JobState.REFUSED]
    return Content(card.title, [b.header(card.title), *rows])


def _history_row(job: Job, locale: str) -> Block:
    out: Block = {"type": "section", "text": b.plain(line_text(account.history_line(job, locale, with_time=False)))}
    if job.has_image:
        out["accessory"] = b.button(send_again_text(locale), f"job:redeliver:{job.id}")
    return out


def settings(own: OwnSettings, command: str, locale: str, models: Models) -> Card:
    words = ("factor=3 creativity=0.5", "reset", SAVE_PRESET, "delete logo")
    return account.settings(own, locale, models, *(f"{command} settings {word}" for word in words))


def home(
    locale: str,
    report: UsageReport | None,
    jobs: Sequence[Job],
    own: OwnSettings,
    models: Models,
) -> Block:
    statuses = report.left if report is not None else ()
    money = [s for s in statuses if s.limit.measure is Measure.USD][:4] or list(statuses[:4])
    blocks = b.non_empty(
        b.header(form_text("title", locale)),
        b.rich([b.text_run(form_text("home", locale))]),
        b.actions(
            b.button(form_text("title", locale), "ui:form", style="primary"),
            b.button(form_text("help", locale), "ui:help"),
        ),
        b.divider(),
        *(draw(budget.usage(report, (), locale)).blocks if report is not None else []),
        *(draw(budget.limits(money, locale, platform="slack")).blocks if money else []),
        b.divider(),
        *draw(account.settings(own, locale, models)).blocks,
        b.actions(b.button(form_text("change_defaults", locale), "ui:defaults")),
        b.divider(),
        *history(jobs, locale).blocks,
    )
    return {"type": "home", "blocks": blocks[:100]}
