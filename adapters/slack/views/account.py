"""Help, usage, limits, history, defaults and privacy as Slack messages. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.slack.views import blocks as b
from adapters.slack.views.blocks import Block, Content
from adapters.slack.views.job import action, file_name
from core.budgets.reports import UsageReport, UsageRow
from core.domain.job import Job, JobState
from core.domain.limits import Limit, LimitStatus, Measure, ScopeKind
from core.domain.models import MODELS
from core.domain.money import usd
from core.domain.parameters.spec import PRESETS, Parameters
from core.presentation import job_texts as words
from core.presentation import tr, trn
from core.presentation.job_texts import state_word
from core.presentation.limit_texts import amount, scope_name, window_name

TOP_MEMBERS = 5
HISTORY_SHOWN = 10


def ui(verb: str, argument: str = "") -> str:
    """The action_id of a button that belongs to no job."""
    return f"ui:{verb}" + (f":{argument}" if argument else "")


def help_content(command: str, locale: str, *, moderator: bool) -> Content:
    """What can be typed, and the other ways in."""
    lines = [
        (command, tr("opens a form with a file field and every parameter", locale)),
        (f"{command} https://… factor=3", tr("upscales the picture behind a link", locale)),
        (f"{command} usage · quota · history", tr("what you used, what is left, your last pictures", locale)),
        (f"{command} settings factor=3 creative", tr("saves your own defaults", locale)),
        (f"{command} privacy", tr("what is stored about you, to have or to delete", locale)),
    ]
    if moderator:
        lines.append((f"{command} quota set user day $5", tr("sets a limit of this workspace", locale)))
        lines.append((f"{command} quota sponsor #channel $20 7 days", tr("gives a channel its own budget", locale)))
        lines.append((f"{command} quota add @member $2 today", tr("Give a member more for a while", locale)))
        lines.append((f"{command} quota history", tr("Who changed which limit, and when", locale)))
        lines.append((f"{command} quota presets #channel 2x faithful", tr("Default values of a channel", locale)))
        lines.append((f"{command} quota workspace · pause · alerts #channel", tr("for moderators too", locale)))
    typed = [[b.run(typed, code=True), b.run(f"  {meaning}")] for typed, meaning in lines]
    more = [
        [b.run(tr("Other ways: mention me with a picture, send me one in a direct message,", locale))],
        [b.run(tr("or use “Upscale this image” in the menu of any message.", locale))],
    ]
    ranges = " · ".join(f"{name} {each.allowed}" for name, each in MODELS.widest.items() if name != "seed")
    presets = ", ".join(PRESETS)
    return Content(
        tr("How to upscale a picture", locale),
        b.stacked(
            b.header(tr("How to upscale a picture", locale)),
            b.rich(*typed),
            b.rich(*more),
            b.context(ranges, tr("presets: {names}", locale, names=presets)),
            b.actions(b.button(tr("Upscale a picture", locale), ui("form"), style="primary")),
        ),
    )


# -------------------------------------------------------------------------- money


def limit_line(status: LimitStatus, locale: str, *, whose: str = "") -> str:
    """`you, today: $1.20 of $5.00 used, $3.80 left`."""
    limit = status.limit
    when = window_name(limit.window, locale)
    whose = whose or scope_name(limit.scope.kind, locale, limit.scope.platform or "slack")
    used = amount(limit.measure, status.used + status.held, locale)
    return tr(
        "{whose}, {when}: {used} of {limit} used, {left} left",
        locale,
        whose=whose,
        when=when,
        used=used,
        limit=amount(limit.measure, limit.amount, locale),
        left=amount(limit.measure, status.left, locale),
    )


def _owner(limit: Limit, locale: str) -> Block:
    """Whose limit it is, for a moderator who looks at everybody's. Seen by the moderator alone, so it pings nobody."""
    kind, scope_id = limit.scope.kind, limit.scope.id
    if kind is ScopeKind.USER:
        return {"type": "user", "user_id": scope_id} if scope_id else b.run(tr("each member", locale))
    if kind is ScopeKind.CHANNEL:
        return {"type": "channel", "channel_id": scope_id} if scope_id else b.run(tr("each channel", locale))
    return b.run(scope_name(kind, locale, limit.scope.platform or "slack"))


def quota(statuses: Sequence[LimitStatus], locale: str, *, saved: bool = False) -> Content:
    """Every limit that applies, with a bar and when it opens again."""
    title = tr("Limits of this workspace", locale) if saved else tr("Your limits", locale)
    if not statuses:
        return Content(title, [b.rich([b.run(tr("No limit applies to you here.", locale))])])
    lines: list[list[Block]] = []
    for status in statuses[:20]:
        line = [b.run(f"{_meter(status)}  ")]
        if saved:
            line += b.around(limit_line(status, locale, whose="{whose}"), whose=_owner(status.limit, locale))
        else:
            line.append(b.run(limit_line(status, locale)))
        if status.opens_at is not None and status.left == 0:
            opens = tr("It opens again on {time}.", locale)
            line.append(b.run(" "))
            line += b.around(opens, time=b.clock_time(status.opens_at, pattern="{date_short_pretty}, {time}"))
        lines.append(line)
    said = title if saved else f"{title}: {limit_line(statuses[0], locale)}"
    return Content(said, [b.header(title), b.rich(*lines)])


def _meter(status: LimitStatus) -> str:
    total = max(1, status.limit.amount)
    full = min(8, round((status.used + status.held) / total * 8))
    return "▰" * full + "▱" * (8 - full)


def usage(report: UsageReport, locale: str, *, member: str = "") -> Content:
    """Totals, the days, and for moderators the members who used most; `member` is the name of somebody else."""
    titles = {
        "user": tr("Your usage", locale),
        "workspace": tr("Usage of this workspace", locale),
    }
    title = titles.get(report.scope, tr("Usage", locale))
    if member:
        title = tr("Usage of {name}", locale, name=member)
    spent = usd(report.charged_nanousd, locale)
    total = trn("{n} picture", "{n} pictures", report.jobs, locale)
    line = tr(
        "{spent} for {pictures}, {mp} MP, from {first} to {last}",
        locale,
        spent=spent,
        pictures=total,
        mp=f"{report.megapixels:g}",
        first=report.first_day,
        last=report.last_day,
    )
    notes = [tr("play money", locale)] if report.play_money else []
    if report.held_nanousd:
        notes.append(tr("{amount} held for running jobs", locale, amount=usd(report.held_nanousd, locale)))
    if report.budget_day_nanousd is not None:
        notes.append(tr("{amount} a day allowed", locale, amount=usd(report.budget_day_nanousd, locale)))
    blocks = b.stacked(b.header(title), b.rich([b.run(line)]), _top(report.members, locale), b.context(*notes))
    return Content(f"{title}: {line}", blocks)


def _top(members: Sequence[UsageRow], locale: str) -> Block | None:
    if not members:
        return None
    lines = [[b.run(tr("Most used by", locale), bold=True)]]
    for row in members[:TOP_MEMBERS]:
        pictures = trn("{n} picture", "{n} pictures", row.jobs, locale)
        # Whoever had everything deleted has no name any more, but the sums stay.
        name = row.label or tr("a deleted member", locale)
        lines.append([b.run(f"{name}: {usd(row.charged_nanousd, locale)}, {pictures}")])
    return b.rich(*lines)


# ------------------------------------------------------------------------ history


def history(jobs: Sequence[Job], locale: str) -> Content:
    """The last jobs; those whose picture is kept can be sent again."""
    title = tr("Your last pictures", locale)
    if not jobs:
        return Content(title, [b.rich([b.run(tr("You have not upscaled anything here yet.", locale))])])
    blocks: list[Block] = [b.header(title)]
    for job in jobs[:HISTORY_SHOWN]:
        blocks.append(history_row(job, locale))
    return Content(title, blocks)


def history_row(job: Job, locale: str) -> Block:
    """One job; a button where its picture can be had again."""
    state = state_word(job, locale)
    size = words.size_line(job, locale)
    charged = words.charge_text(job.receipt, locale) if job.receipt else ""
    line = " · ".join(part for part in (file_name(job), state, size, charged) if part)
    out: Block = {"type": "section", "text": b.plain(line)}
    if job.state is JobState.SUCCEEDED and not job.images_deleted:
        out["accessory"] = b.button(tr("Send again", locale), action("redeliver", job.id))
    return out


# ----------------------------------------------------------------------- settings


def defaults_text(saved: Mapping[str, object]) -> str:
    """`factor=3 creativity=0.5`; empty where nothing is saved."""
    return " ".join(f"{name}={_typed(value)}" for name, value in saved.items() if value is not None)


def _typed(value: object) -> str:
    """A value as people type it: `3` rather than `3.0`."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def settings(saved: Mapping[str, object], command: str, locale: str, *, hint: bool = True) -> Content:
    """The member's defaults and, with `hint`, what to type to change them."""
    own = defaults_text(saved)
    if own:
        first = [b.run(tr("Your defaults: ", locale)), b.run(own, code=True)]
    else:
        model = defaults_text(Parameters().given())
        first = [b.run(tr("You have no defaults of your own; the model's are used: ", locale)), b.run(model, code=True)]
    title = tr("Your defaults", locale)
    if not hint:
        return Content(title, [b.rich(first)])
    how = tr("Change them like this: {example}. Clear them with {reset}.", locale)
    example = b.run(f"{command} settings factor=3 creativity=0.5", code=True)
    line = b.around(how, example=example, reset=b.run(f"{command} settings reset", code=True))
    return Content(title, [b.rich(first, line)])


def privacy(days: str, locale: str) -> Content:
    """What is kept, for how long, and the two things a member may do about it."""
    said = tr(
        "Pictures are kept for a few days and then deleted, here and at fal. Hidden data in photos, such as where they "
        "were taken, is removed before anything is sent. Nothing is used for training.",
        locale,
    )
    sure = b.confirmation(
        tr("Delete everything?", locale),
        tr("Your pictures and history are deleted here and at fal. Amounts spent stay, without your name.", locale),
        tr("Delete", locale),
        tr("Keep", locale),
    )
    row = b.actions(
        b.button(tr("Send me everything", locale), ui("export")),
        b.button(tr("Delete everything about me", locale), ui("erase"), style="danger", confirm=sure),
    )
    return Content(said, b.stacked(b.rich([b.run(said)]), b.context(days), row))


def home(
    locale: str,
    report: UsageReport | None,
    statuses: Sequence[LimitStatus],
    jobs: Sequence[Job],
    saved: Mapping[str, object],
    command: str,
) -> Block:
    """The App Home: start here, what was used, what is left, defaults, the last pictures."""
    money = [s for s in statuses if s.limit.measure is Measure.USD][:4] or list(statuses[:4])
    blocks = b.stacked(
        b.header(tr("Upscale a picture", locale)),
        b.rich([b.run(tr("Choose a picture here, send me one, or mention me with one in a channel.", locale))]),
        b.actions(
            b.button(tr("Upscale a picture", locale), ui("form"), style="primary"),
            b.button(tr("Help", locale), ui("help")),
        ),
        b.divider(),
        *(usage(report, locale).blocks if report is not None else []),
        *(quota(money, locale).blocks if money else []),
        b.divider(),
        b.header(tr("Your defaults", locale)),
        *settings(saved, command, locale, hint=False).blocks,
        b.actions(b.button(tr("Change defaults", locale), ui("defaults"))),
        b.divider(),
        *history(jobs, locale).blocks,
    )
    return {"type": "home", "blocks": blocks[:100]}
