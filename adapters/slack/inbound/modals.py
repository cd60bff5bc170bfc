"""Modals and the Home tab. A modal opens at once with what is known from memory, and is completed by an update.

A trigger_id is valid for about three seconds and one use (views.open, read 2026-11-22).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from adapters.slack.context import HandlerContext
from adapters.slack.inbound.actions import Press
from adapters.slack.inbound.translate import Origin, declared_size
from adapters.slack.outbound.errors import VIEW_GONE, SlackError
from adapters.slack.views import messages as view
from adapters.slack.views import upscale_form as form
from adapters.slack.views.blocks import Block
from core.domain.errors import UpscaleError
from core.domain.job import Requester
from core.presentation import cents, cut, notice_card, size
from core.presentation.cards.account import OwnSettings
from core.presentation.cards.details import details, repeat_words
from core.presentation.texts.form_texts import form_text

log = structlog.get_logger(__name__)

TRIGGER_LIFE_S = 2.0
"""Less than Slack's three seconds, so that a retry still arrives in time."""
SHOWN_JOBS = 5


async def open_modal(ctx: HandlerContext, origin: Origin, body: Mapping[str, Any], shown: Block) -> str | None:
    """Open the modal and return its id; None if Slack refuses, which the member is told."""
    trigger_id = str(body.get("trigger_id") or "")
    try:
        answer = await ctx.api.call(
            origin.team, "views.open", max_wait_s=TRIGGER_LIFE_S, trigger_id=trigger_id, view=shown
        )
    except SlackError as error:
        log.warning("slack_modal_refused", error=error.error)
        ctx.tasks.spawn("slow", ctx.answer(origin, form_text("slow", ctx.locale(origin))))
        return None
    return str(answer["view"]["id"])


async def update_modal(ctx: HandlerContext, origin: Origin, view_id: str, shown: Block) -> bool:
    """Update an open modal; False if Slack refuses. True if the member has closed it meanwhile."""
    return await ctx.api.attempt(origin.team, "views.update", view_id=view_id, view=shown) in ("", VIEW_GONE)


def build_form(ctx: HandlerContext, origin: Origin, locale: str = "", **known: Any) -> Block:
    """The form with this bot's models and settings; `known` are further arguments of `upscale_form.form`."""
    service = ctx.service
    locale = locale or ctx.locale(origin)
    return form.form(origin, locale, allow_unsafe=service.allow_unsafe, models=service.models, **known)


async def complete_form(ctx: HandlerContext, origin: Origin, view_id: str, pick: Sequence[Mapping[str, Any]]) -> None:
    """Update the open form with the member's language, saved defaults, and the total price of several images."""
    shown_locale = ctx.locale(origin)
    actor = await ctx.actor(origin)
    try:
        own = await ctx.service.accounts.settings(actor)
        total, remark = await _total(ctx, actor, pick)
    except Exception as error:
        # The form stays usable without hints and total; the core checks what it submits.
        log.info("slack_form_not_completed", error=(await ctx.to_domain_error(error)).code)
        return
    if own.defaults or own.presets or remark or actor.locale.split("-")[0] != shown_locale.split("-")[0]:
        known: dict[str, Any] = {"own": own, "pick": pick, "remark": remark, "total_nanousd": total}
        await update_modal(ctx, origin, view_id, build_form(ctx, origin, actor.locale, **known))


async def _total(ctx: HandlerContext, actor: Requester, pick: Sequence[Mapping[str, Any]]) -> tuple[int, str]:
    """The total price with the member's defaults in nano-dollars, and as text; 0 if Slack does not know the sizes."""
    total, lines = 0, []
    for file in pick:
        px = declared_size(file)
        if px is None:
            return 0, ""
        quote = await ctx.service.estimate(*px, actor)
        total += quote.estimate_nanousd
        lines.append(f"{cut(str(file.get('name') or ''), 40)} {size(*px)}")
    text = form_text("total", actor.locale, n=len(pick), price=cents(total, actor.locale))
    return total, f"{text} {' · '.join(lines)}" if lines else ""


async def show_details(ctx: HandlerContext, press: Press, view_id: str) -> None:
    actor = await ctx.actor(press.origin)
    try:
        job = await ctx.service.job(press.job_id, actor)
        card = details(job, actor.locale, command=f"{ctx.settings.slack_command} {repeat_words(job)}")
    except Exception as error:
        card = notice_card(await ctx.refusal_notice(error, actor.locale), actor.locale)
    if not await update_modal(ctx, press.origin, view_id, form.details_modal(actor.locale, card)):
        await ctx.answer(press.origin, card)


async def open_defaults(ctx: HandlerContext, origin: Origin, body: Mapping[str, Any]) -> None:
    """Open the one-line form for the member's own defaults, then fill in what is saved."""
    view_id = await open_modal(ctx, origin, body, form.defaults_form(ctx.locale(origin), {}))
    if view_id is None:
        return

    async def fill(actor: Requester) -> None:
        if saved := await ctx.service.accounts.defaults(actor):
            await update_modal(ctx, origin, view_id, form.defaults_form(actor.locale, saved))

    await ctx.run_and_answer(origin, fill, starts=False)


async def publish_home(ctx: HandlerContext, origin: Origin) -> bool:
    """Publish the Home tab, without what cannot be read at the moment; False if Slack refuses."""
    actor = await ctx.actor(origin)
    service = ctx.service
    try:
        report = await service.budgets.usage(actor, period="month")
        jobs = await service.history(actor, limit=SHOWN_JOBS, refused=False)
        own = await service.accounts.settings(actor)
        home = view.home(actor.locale, report, jobs, own, service.models)
    except UpscaleError as error:
        log.info("slack_home_incomplete", reason=str(error))
        home = view.home(actor.locale, None, (), OwnSettings(), service.models)
    return not await ctx.api.attempt(origin.team, "views.publish", user_id=origin.user_id, view=home)
