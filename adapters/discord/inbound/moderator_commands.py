"""`/quota …` and `/queue`: a moderator's commands. The core checks rights and amounts."""

from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any, TypeAlias

import discord
import structlog
from discord import app_commands

from adapters.discord.inbound import translate
from adapters.discord.inbound.commands import CHOICE_MAX, Command, command, group, localized, model_choices
from adapters.discord.inbound.dispatcher import HandlerContext
from adapters.discord.inbound.interaction_response import Answer
from adapters.discord.inbound.translate import Interaction
from core.budgets.limit_grammar import amount_of
from core.domain.errors import InvalidParameters, UpscaleError
from core.domain.job import JobState
from core.domain.limits import MAX_SPONSOR_DAYS, SPONSOR_DAYS, LimitStatus, Measure, ScopeKind, WantedLimit, Window
from core.presentation import Card, plain_card, tr
from core.presentation.cards.budget import limit_changed_text, limit_text, limits
from core.presentation.cards.moderation import queue
from core.presentation.texts.progress_texts import cancel_pending_text

log = structlog.get_logger(__name__)

_MEASURES = [app_commands.Choice(name=localized(m.value), value=m.value) for m in Measure]
_WINDOWS = [
    app_commands.Choice(name=localized(f"window_{w.value}"), value=w.value) for w in Window if w is not Window.NOW
]
_SCOPES = [app_commands.Choice(name=localized(f"for_{name}"), value=name) for name in ("server", "members", "channels")]
CHOICES_MAX = 25
Amount = app_commands.Range[float, 0.0, 1_000_000.0]
Days = app_commands.Range[int, 1, MAX_SPONSOR_DAYS]


_KINDS = discord.ChannelType
_THREADS = [_KINDS.public_thread, _KINDS.private_thread, _KINDS.news_thread]
_WITH_MESSAGES = [_KINDS.text, _KINDS.news, *_THREADS, _KINDS.voice, _KINDS.stage_voice]


class _Place(app_commands.Transformer):
    """A channel as Discord states it: without the guilds intent no cache knows more."""

    def __init__(self, *more: discord.ChannelType) -> None:
        self._kinds = [*_WITH_MESSAGES, *more]

    @property
    def type(self) -> discord.AppCommandOptionType:
        return discord.AppCommandOptionType.channel

    @property
    def channel_types(self) -> list[discord.ChannelType]:
        return self._kinds

    async def transform(self, interaction: discord.Interaction[Any], value: Any, /) -> Any:
        return value


_Channel: TypeAlias = app_commands.AppCommandChannel | app_commands.AppCommandThread
MessageChannel = app_commands.Transform[_Channel, _Place()]
Place = app_commands.Transform[_Channel, _Place(_KINDS.forum)]
"""Where images may be asked for. A forum has no messages of its own, but what holds in it holds in its posts.

Media channels (16) are left out: Discord's own schema of an option does not name them (read 2026-11-30), and one type
that it does not know would make it refuse all commands."""


class ModeratorCommands:
    def __init__(self, ctx: HandlerContext) -> None:
        self._ctx = ctx
        self._limits = ctx.service.limits

    def commands(self) -> list[Command | app_commands.Group]:
        """Discord offers them only to members who may manage the server, unless an administrator changes that."""
        make = partial(command, self._ctx)
        models = model_choices(self._ctx.service.models)
        set_ = make("quota_set", self._set, measure=_MEASURES, window=_WINDOWS, scope=_SCOPES, model=models)
        clear = make("quota_clear", self._clear)
        clear.autocomplete("limit")(self._known_limits)
        extra_windows = [choice for choice in _WINDOWS if choice.value != Window.TOTAL.value]
        quota = group(
            "quota",
            make("quota_show", self._show),
            set_,
            clear,
            make("quota_pause", self._pause),
            make("quota_alerts", self._alerts),
            make("quota_sponsor", self._sponsor),
            make("quota_add", self._add, window=extra_windows),
            make("quota_history", self._history),
            make("quota_presets", self._presets),
        )
        shown = make("queue", self._queue)
        for each in (quota, shown):
            each.default_permissions = discord.Permissions(manage_guild=True)
            each.allowed_contexts = app_commands.AppCommandContext(guild=True, dm_channel=False, private_channel=False)
            each.allowed_installs = app_commands.AppInstallationType(guild=True, user=False)
        return [quota, shown]

    # --- limits --------------------------------------------------------------------------------------------------

    async def _show(self, answer: Answer) -> None:
        statuses = await self._ctx.defer_if_slow(answer, self._limits.workspace_limits(answer.actor))
        await answer.show(self._card(statuses, answer.locale))

    def _card(self, statuses: Sequence[LimitStatus], locale: str, *note: str) -> Card:
        play_money = self._ctx.service.play_money
        return limits(statuses, locale, platform="discord", note=note, play_money=play_money, of_all=True)

    async def _set(
        self,
        answer: Answer,
        measure: str,
        amount: Amount,
        window: str = "day",
        scope: str = "server",
        member: discord.User | None = None,
        role: discord.Role | None = None,
        channel: Place | None = None,
        model: str = "",
    ) -> None:
        what = Measure(measure)
        when = Window.NOW if what is Measure.RUNNING else Window(window)
        kind = {"members": ScopeKind.USER, "channels": ScopeKind.CHANNEL}.get(scope, ScopeKind.WORKSPACE)
        scope_id = answer.actor.workspace_id if kind is ScopeKind.WORKSPACE else ""
        picks = (
            ("member", ScopeKind.USER, member),
            ("role", ScopeKind.ROLE, role),
            ("channel", ScopeKind.CHANNEL, channel),
        )
        given = {name: (of, str(one.id)) for name, of, one in picks if one is not None}
        if scope != "server" or not given:
            given["scope"] = (kind, scope_id)
        if len(given) > 1:
            first, second, *_ = given
            raise InvalidParameters.of(first, second, "together")
        [(kind, scope_id)] = given.values()
        with_threads = kind is ScopeKind.CHANNEL and not isinstance(channel, app_commands.AppCommandThread)
        note = tr("Threads count with their channel.", answer.locale) if with_threads else ""
        await self._change(answer, WantedLimit(kind, scope_id, what, when, amount_of(amount, what), model), note)

    async def _clear(self, answer: Answer, limit: str) -> None:
        """Clear a limit by the value of an autocomplete choice. Raises InvalidParameters for other text."""
        try:
            kind, scope_id, what, when, model = limit.split("|")
            wanted = WantedLimit(ScopeKind(kind), scope_id, Measure(what), Window(when), None, model)
        except ValueError:
            statuses = await self._ctx.defer_if_slow(answer, self._limits.workspace_limits(answer.actor))
            if known := _own_limits(statuses, answer.locale):
                raise InvalidParameters.of("limit", limit, "type", "; ".join(known)) from None
            await answer.show(self._card(statuses, answer.locale))
            return
        await self._change(answer, wanted)

    async def _change(self, answer: Answer, wanted: WantedLimit, more: str = "") -> None:
        statuses = await self._ctx.defer_if_slow(answer, self._limits.set_limit(answer.actor, wanted))
        note = limit_changed_text(wanted.amount, answer.locale)
        await answer.show(self._card(statuses, answer.locale, " ".join(filter(None, (note, more)))))

    async def _known_limits(self, interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        """Autocomplete the limits that moderators have set; empty when they cannot be read."""
        actor = translate.requester(interaction)
        try:
            statuses = await self._limits.workspace_limits(actor)
        except UpscaleError as error:
            log.info("limits_not_offered", why=error.code)
            return []
        offered = _own_limits(statuses, actor.locale).items()
        choices = [app_commands.Choice(name=label[:CHOICE_MAX], value=value) for label, value in offered]
        return [choice for choice in choices if typed.lower() in choice.name.lower()][:CHOICES_MAX]

    async def _pause(self, answer: Answer, paused: bool) -> None:
        await self._show_result(answer, self._limits.pause(answer.actor, paused))

    async def _alerts(self, answer: Answer, channel: MessageChannel | None = None) -> None:
        channel_id = str(channel.id) if channel is not None else None
        await self._show_result(answer, self._limits.set_alert_channel(answer.actor, channel_id))

    async def _sponsor(self, answer: Answer, channel: Place, amount: Amount, days: Days = SPONSOR_DAYS) -> None:
        nanousd = amount_of(amount, Measure.USD) or None
        await self._show_result(answer, self._limits.sponsor(answer.actor, str(channel.id), nanousd, days))

    async def _add(self, answer: Answer, member: discord.User, amount: Amount, window: str = "day") -> None:
        nanousd = amount_of(amount, Measure.USD)
        await self._show_result(answer, self._limits.add_extra(answer.actor, str(member.id), nanousd, Window(window)))

    async def _history(self, answer: Answer) -> None:
        await self._show_result(answer, self._limits.limit_history(answer.actor))

    async def _presets(self, answer: Answer, parameters: str = "", channel: Place | None = None) -> None:
        where = str(channel.id) if channel is not None else ""
        await self._show_result(answer, self._ctx.service.accounts.set_place_presets(answer.actor, parameters, where))

    async def _show_result(self, answer: Answer, work: Coroutine[Any, Any, Card]) -> None:
        await answer.show(await self._ctx.defer_if_slow(answer, work))

    # --- the queue -----------------------------------------------------------------------------------------------

    async def _queue(self, answer: Answer) -> None:
        await self._show_result(answer, self._queue_card(answer))

    async def cancel(self, answer: Answer, job_id: str) -> None:
        job = await self._ctx.commits.before_ack(self._ctx.service.cancel(job_id, answer.actor), answer.defer_update)
        await answer.update(await self._queue_card(answer))
        if job.state is JobState.RUNNING:
            await answer.follow_up(plain_card(cancel_pending_text(answer.locale)))

    async def _queue_card(self, answer: Answer) -> Card:
        return queue(await self._ctx.service.queue(answer.actor), answer.locale)


def _own_limits(statuses: Sequence[LimitStatus], locale: str) -> dict[str, str]:
    """The limits that moderators have set: the value of each choice by its text."""
    own = [status.limit for status in statuses if status.limit.source == "moderator"]
    parts = [(limit.scope.kind, limit.scope.id, limit.measure, limit.window, limit.model) for limit in own]
    return {limit_text(limit, locale): "|".join(each) for limit, each in zip(own, parts, strict=True)}
