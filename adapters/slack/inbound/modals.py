"""Modals: opened at once with what is known without waiting, completed a moment later. Nothing slow comes before.

A trigger is good for about three seconds and one use (views.open, read 2026-11-22).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.context import HandlerContext
from adapters.slack.inbound import actions as buttons
from adapters.slack.inbound.translate import Where
from adapters.slack.outbound.api_client import Team
from adapters.slack.outbound.errors import SlackError, code_of
from adapters.slack.views import blocks as b
from adapters.slack.views import home
from adapters.slack.views import upscale_form as modal
from adapters.slack.views.account import defaults_text
from adapters.slack.views.blocks import Block
from adapters.slack.views.job import passing
from core.domain.money import usd
from core.presentation import tr
from core.presentation.formats import size

log = structlog.get_logger(__name__)

AGAIN_AFTER_S = 1.1
"""One more try fits into a trigger's life; Slack asks for at least one second where it says 429."""
PASSING = frozenset({"", "ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable"})


def known_locale(ctx: HandlerContext, where: Where) -> str:
    """The member's language as far as it is known without asking."""
    person = ctx.people.cached(where.team_id, where.user_id)
    return person.locale if person is not None else "en"


async def open_now(
    ctx: HandlerContext, client: AsyncWebClient, where: Where, trigger_id: str, view: Block
) -> str | None:
    """Open the modal; its id. None, and a word to the member, where Slack would not."""
    for wait_s in (AGAIN_AFTER_S, None):
        try:
            answer = await client.views_open(trigger_id=trigger_id, view=view)
            return str(answer["view"]["id"])
        except SlackApiError as error:
            code = code_of(error)
            log.warning("slack_modal_refused", error=code)
            headers = getattr(error.response, "headers", None) or {}
            if code not in PASSING or float(headers.get("Retry-After") or 0) > AGAIN_AFTER_S:
                break
        except Exception as error:
            log.warning("slack_modal_broke", kind=type(error).__name__)
        if wait_s is not None:
            await ctx.clock.sleep(wait_s)
    said = tr("Slack took too long to open the form. Please try again.", known_locale(ctx, where))
    await ctx.answers.tell(where, passing(said))
    return None


async def update(ctx: HandlerContext, where: Where, view_id: str, view: Block) -> None:
    """Complete an open modal. The member may have closed it: then nothing happens."""
    try:
        await ctx.api.call(Team(where.team_id, where.enterprise_id), "views.update", view_id=view_id, view=view)
    except SlackError as error:
        log.info("slack_modal_not_updated", error=error.error)


async def complete_form(
    ctx: HandlerContext, where: Where, view_id: str, pick: Sequence[Mapping[str, Any]], shown_locale: str
) -> None:
    """Once the form is open: the member's language, own defaults as hints, and for several pictures the total."""
    actor = await ctx.intake.actor(where)
    try:
        saved = await ctx.service.accounts.defaults(actor)
        remark = await _total(ctx, actor, pick) if pick else ""
    except Exception as error:
        # The form stands without hints and total; what it starts is judged again.
        log.info("slack_form_not_completed", error=(await ctx.answers.known(error)).code)
        return
    if not saved and not remark and actor.locale.split("-")[0] == shown_locale.split("-")[0]:
        return
    view = modal.form(
        where, actor.locale, allow_unsafe=ctx.service.allow_unsafe, models=ctx.service.models,
        saved=saved, pick=pick, remark=remark,
    )  # fmt: skip
    await update(ctx, where, view_id, view)


async def _total(ctx: HandlerContext, actor: Any, pick: Sequence[Mapping[str, Any]]) -> str:
    """What all of them would cost with the member's defaults, as far as Slack knows their sizes."""
    total, lines = 0, []
    for file in pick:
        width, height = int(file.get("original_w") or 0), int(file.get("original_h") or 0)
        if not width or not height:
            return ""
        quote = await ctx.service.estimate(width, height, actor)
        total += quote.estimate_nanousd
        lines.append(f"{b.cut(str(file.get('name') or ''), 40)} {size(width, height)}")
    price = usd(total, actor.locale)
    said = tr("All {n} with your defaults: about {price}.", actor.locale, n=len(pick), price=price)
    return f"{said} {' · '.join(lines)}"


def loading(locale: str) -> Block:
    """Something to look at while the details are fetched."""
    wait = tr("One moment…", locale)
    return _details_view([b.rich([b.run(wait)])], locale)


def _details_view(blocks: list[Block], locale: str) -> Block:
    return {
        "type": "modal",
        "title": b.plain(tr("Details", locale), b.TITLE_MAX_CHARS),
        "close": b.plain(tr("Close", locale), b.TITLE_MAX_CHARS),
        "blocks": blocks,
    }


async def show_details(ctx: HandlerContext, press: buttons.Press, view_id: str) -> None:
    """Fill the details into the open modal, or say why not."""
    actor = await ctx.intake.actor(press.where)
    try:
        job = await ctx.service.job(press.job_id, actor)
        rows = buttons.details(job, actor.locale)
        lines = [b.rich([b.run(label, bold=True)], [b.run(value)]) for label, value in rows.items()]
    except Exception as error:
        known = await ctx.answers.known(error)
        lines = [b.rich([b.run(ctx.service.notice(known, actor.locale).text)])]
    await update(ctx, press.where, view_id, _details_view(lines, actor.locale))


async def open_defaults(ctx: HandlerContext, client: AsyncWebClient, where: Where, trigger_id: str) -> None:
    """The one-line form for the member's own defaults; what is saved is filled in once it is open."""
    locale = known_locale(ctx, where)
    view_id = await open_now(ctx, client, where, trigger_id, home.defaults_form(locale, ""))
    if view_id is None:
        return
    actor = await ctx.intake.actor(where)
    try:
        saved = await ctx.service.accounts.defaults(actor)
    except Exception as error:
        await ctx.answers.error(where, error, actor.locale)
        return
    if saved:
        await update(ctx, where, view_id, home.defaults_form(actor.locale, defaults_text(saved)))
