"""App Home: the member's usage, limits, defaults and last pictures, drawn when it is opened and after changes there."""

from __future__ import annotations

import structlog

from adapters.slack.context import HandlerContext
from adapters.slack.inbound.translate import Where
from adapters.slack.outbound.api_client import Team
from adapters.slack.outbound.errors import SlackError
from adapters.slack.views import account as view
from adapters.slack.views import blocks as b
from adapters.slack.views.blocks import Block
from core.domain.errors import InvalidParameters, UpscaleError
from core.domain.job import Requester
from core.presentation import tr
from core.presentation.failure_texts import parameter_problem

log = structlog.get_logger(__name__)

DEFAULTS_CALLBACK = "upscale_defaults"
SHOWN_JOBS = 5


async def publish(ctx: HandlerContext, where: Where) -> None:
    """Draw the Home tab anew. What cannot be had right now is left out."""
    actor = await ctx.intake.actor(where)
    body = await _body(ctx, actor)
    try:
        team = Team(where.team_id, where.enterprise_id)
        await ctx.api.call(team, "views.publish", user_id=where.user_id, view=body)
    except SlackError as error:
        log.info("slack_home_refused", error=error.error)


async def _body(ctx: HandlerContext, actor: Requester) -> Block:
    try:
        report = await ctx.service.budgets.usage(actor, period="month")
        statuses = await ctx.service.limits.applying(actor)
        jobs = await ctx.service.history(actor, limit=SHOWN_JOBS)
        saved = await ctx.service.accounts.defaults(actor)
    except UpscaleError as error:
        log.info("slack_home_incomplete", reason=str(error))
        return view.home(actor.locale, None, (), (), {}, ctx.settings.slack_command, ctx.service.models)
    return view.home(actor.locale, report, statuses, jobs, saved, ctx.settings.slack_command, ctx.service.models)


def defaults_form(locale: str, saved_text: str) -> Block:
    """One line of text, in the grammar that works everywhere."""
    element: Block = {
        "type": "plain_text_input",
        "action_id": "text",
        "max_length": 500,
        "placeholder": b.plain("factor=3 creativity=0.5 creative", 150),
    }
    if saved_text:
        element["initial_value"] = saved_text
    return {
        "type": "modal",
        "callback_id": DEFAULTS_CALLBACK,
        "title": b.plain(tr("Your defaults", locale), b.TITLE_MAX_CHARS),
        "submit": b.plain(tr("Save", locale), b.TITLE_MAX_CHARS),
        "close": b.plain(tr("Close", locale), b.TITLE_MAX_CHARS),
        "blocks": [
            {
                "type": "input",
                "block_id": "text",
                "optional": True,
                "label": b.plain(tr("Parameters", locale)),
                "hint": b.plain(tr("Leave it empty to go back to the model's own values.", locale)),
                "element": element,
            }
        ],
    }


def problem_text(error: InvalidParameters, locale: str) -> str:
    """All problems as the one sentence that stands at the field."""
    return " ".join(parameter_problem(problem, locale) for problem in error.problems)
