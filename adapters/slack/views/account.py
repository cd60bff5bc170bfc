"""Help, usage, limits, history, defaults and privacy as Slack messages. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from adapters.slack.views import blocks as b
from adapters.slack.views.blocks import Block, Content
from adapters.slack.views.card import bar, draw
from core.budgets.reports import UsageReport
from core.domain.job import Job, JobState
from core.domain.limits import LimitStatus, Measure
from core.domain.models import Models
from core.domain.parameters.spec import Value
from core.presentation import tr
from core.presentation.card import Action, Code, fill, line_text
from core.presentation.cards import account, budget
from core.presentation.cards.help import help_card
from core.presentation.formats import cents, period_text

HISTORY_SHOWN = 10
DAYS_SHOWN = 14


def ui(verb: str, argument: str = "") -> str:
    """The action_id of a button that belongs to no job."""
    return f"ui:{verb}" + (f":{argument}" if argument else "")


def help_content(
    command: str, locale: str, models: Models, *, moderator: bool, play_money: bool, confirm_above_nanousd: int
) -> Content:
    """What can be typed, and the other ways in."""
    commands = [
        (command, tr("opens a form with a file field and every parameter", locale)),
        (f"{command} https://… factor=3", tr("upscales an image or the image behind a link", locale)),
        (f"{command} usage", tr("what you spent and what is left", locale)),
        (f"{command} history", tr("your last images", locale)),
        (f"{command} settings factor=3 creative", tr("saves your own defaults", locale)),
        (f"{command} privacy", tr("export or delete your data", locale)),
    ]
    if moderator:
        commands += [
            (f"{command} quota set user day $5", tr("sets a limit of this workspace", locale)),
            (f"{command} quota sponsor #channel $20 7 days", tr("gives a channel its own budget", locale)),
            (f"{command} quota add @member $2 today", tr("Give a member more for a while", locale)),
            (f"{command} quota history", tr("Who changed which limit, and when", locale)),
            (f"{command} quota presets #channel 2x faithful", tr("Default values of a channel", locale)),
            (f"{command} quota workspace · pause · alerts #channel", tr("for moderators too", locale)),
        ]
    card = help_card(
        locale,
        commands,
        models,
        confirm_above_nanousd=confirm_above_nanousd,
        play_money=play_money,
        ways=[
            tr("Or mention me with an image, send me one in a direct message,", locale)
            + " "
            + tr("or use “Upscale this image” in the menu of any message.", locale)
        ],
        actions=(Action("open_form", tr("Upscale an image", locale), style="primary"),),
    )
    return draw(card)


def quota(statuses: Sequence[LimitStatus], locale: str, *, saved: bool = False) -> Content:
    """Every limit that applies, or with `saved` those of the workspace, with a bar and when it resets."""
    return draw(budget.limits(statuses, locale, platform="slack", of_all=saved))


def usage(report: UsageReport, limits: Sequence[LimitStatus], locale: str, *, member: str = "") -> Content:
    """Totals, and for moderators the members who used most; `member` is the name of somebody else."""
    return draw(budget.usage(report, limits, locale, member=member))


def days_table(report: UsageReport, locale: str) -> Block | None:
    """The last days on which something was charged, as a native table with a bar for each; messages only."""
    days = [day for day in report.days if day.jobs][-DAYS_SHOWN:]
    most = max((day.charged_nanousd for day in days), default=0)
    if not days:
        return None
    rows = [(tr("Day", locale), tr("Cost", locale), tr("Images", locale), " ")]
    for day in days:
        when = period_text(date.fromisoformat(day.key), date.fromisoformat(day.key), locale)
        share = day.charged_nanousd / most if most else 0.0
        rows.append((when, cents(day.charged_nanousd, locale), str(day.jobs), bar(share).strip()))
    return {"type": "table", "rows": [[{"type": "raw_text", "text": cell} for cell in row] for row in rows]}


def history(jobs: Sequence[Job], locale: str) -> Content:
    """The last jobs; those whose image is kept can be sent again."""
    card = account.history(jobs, locale)
    if not card.choices:
        return draw(card)
    rows = [_history_row(job, locale) for job in jobs[:HISTORY_SHOWN] if job.state is not JobState.REFUSED]
    return Content(card.title, [b.header(card.title), *rows])


def _history_row(job: Job, locale: str) -> Block:
    out: Block = {"type": "section", "text": b.plain(line_text(account.history_line(job, locale, with_time=False)))}
    if job.state is JobState.SUCCEEDED and not job.images_deleted:
        out["accessory"] = b.button(tr("Send again", locale), f"job:redeliver:{job.id}")
    return out


def defaults_text(saved: Mapping[str, object]) -> str:
    """`factor=3 creativity=0.5`; empty where nothing is saved."""
    return " ".join(f"{name}={_typed(value)}" for name, value in saved.items() if value is not None)


def _typed(value: object) -> str:
    """A value as people type it: `3` rather than `3.0`."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def settings(saved: Mapping[str, Value], command: str, locale: str, models: Models, *, hint: bool = True) -> Content:
    """The member's defaults and, with `hint`, what to type to change them."""
    how = fill(
        tr("Change them like this: {example}. Clear them with {reset}.", locale),
        example=Code(f"{command} settings factor=3 creativity=0.5"),
        reset=Code(f"{command} settings reset"),
    )
    return draw(account.settings(saved, locale, models, how=(how,) if hint else ()))


def privacy(locale: str, keep_days: int) -> Content:
    """What is kept, for how long, and the two things a member may do about it."""
    return draw(account.privacy(locale, keep_days=keep_days))


def home(
    locale: str,
    report: UsageReport | None,
    statuses: Sequence[LimitStatus],
    jobs: Sequence[Job],
    saved: Mapping[str, Value],
    command: str,
    models: Models,
) -> Block:
    """The App Home: start here, what was used, what is left, defaults, the last pictures."""
    money = [s for s in statuses if s.limit.measure is Measure.USD][:4] or list(statuses[:4])
    blocks = b.stacked(
        b.header(tr("Upscale an image", locale)),
        b.rich([b.run(tr("Choose an image here, send me one, or mention me with one in a channel.", locale))]),
        b.actions(
            b.button(tr("Upscale an image", locale), ui("form"), style="primary"),
            b.button(tr("Help", locale), ui("help")),
        ),
        b.divider(),
        *(usage(report, (), locale).blocks if report is not None else []),
        *(quota(money, locale).blocks if money else []),
        b.divider(),
        *settings(saved, command, locale, models, hint=False).blocks,
        b.actions(b.button(tr("Change defaults", locale), ui("defaults"))),
        b.divider(),
        *history(jobs, locale).blocks,
    )
    return {"type": "home", "blocks": blocks[:100]}
