"""`/quota show|set|clear|pause|alerts|sponsor`: a moderator's commands. The core checks rights and amounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import discord
import structlog
from discord import app_commands

from adapters.discord.inbound import translate
from adapters.discord.inbound.command_texts import model_word, word
from adapters.discord.inbound.dispatcher import HandlerContext
from adapters.discord.inbound.interaction_response import Answer
from adapters.discord.inbound.translate import Interaction
from adapters.discord.outbound.payload import Payload
from adapters.discord.views.card import draw
from core.budgets.limit_grammar import amount_of
from core.domain.errors import JobNotFound, UpscaleError
from core.domain.limits import LimitStatus, Measure, ScopeKind, Window
from core.domain.money import usd
from core.presentation import tr
from core.presentation.card import Line, Mention, Moment, fill
from core.presentation.cards.budget import limit_words, limits

log = structlog.get_logger(__name__)

_MEASURES = [app_commands.Choice(name=word(m.value), value=m.value) for m in Measure]
WINDOWS = [app_commands.Choice(name=word(f"window_{w.value}"), value=w.value) for w in Window if w is not Window.NOW]
_SCOPES = [app_commands.Choice(name=word(f"for_{name}"), value=name) for name in ("server", "members", "channels")]
CHOICE_MAX, CHOICES_MAX = 100, 25
DAY_S = 86_400


class _Place(app_commands.Transformer):
    """A channel where people write. Only its id is needed: without the guild intent no cache could tell more."""

    @property
    def type(self) -> discord.AppCommandOptionType:
        return discord.AppCommandOptionType.channel

    @property
    def channel_types(self) -> list[discord.ChannelType]:
        kinds = discord.ChannelType
        return [kinds.text, kinds.news, kinds.public_thread, kinds.private_thread, kinds.voice]

    async def transform(self, interaction: discord.Interaction[Any], value: Any, /) -> discord.Object:
        return discord.Object(int(value.id))


Place = app_commands.Transform[discord.Object, _Place]


class QuotaCommands:
    """Moderators of a server manage the limits of that server."""

    def __init__(self, ctx: HandlerContext) -> None:
        self._ctx = ctx

    def group(self) -> app_commands.Group:
        """Offered only to members who may manage the server, until an administrator decides otherwise."""
        group = app_commands.Group(
            name="quota",
            description=word("quota"),
            default_permissions=discord.Permissions(manage_guild=True),
            allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=False, private_channel=False),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
        )
        self._add_show(group)
        self._add_set(group)
        self._add_clear(group)
        self._add_switches(group)
        self._add_sponsor(group)
        return group

    def _add_show(self, group: app_commands.Group) -> None:
        @group.command(name="show", description=word("quota_show"))
        async def show(interaction: Interaction) -> None:
            await self._ctx.run(interaction, self._show)

    def _add_set(self, group: app_commands.Group) -> None:
        models = [app_commands.Choice(name=model_word(each), value=each.id) for each in self._ctx.service.models]

        @group.command(name="set", description=word("quota_set"))
        @app_commands.describe(
            measure=word("quota_measure"),
            amount=word("quota_amount"),
            window=word("quota_window"),
            scope=word("quota_for"),
            member=word("quota_member"),
            role=word("quota_role"),
            channel=word("quota_channel"),
            model=word("quota_model"),
        )
        @app_commands.choices(measure=_MEASURES, window=WINDOWS, scope=_SCOPES, model=models)
        async def set_(
            interaction: Interaction,
            measure: str,
            amount: app_commands.Range[float, 0.0, 1_000_000.0],
            window: str | None = None,
            scope: str | None = None,
            member: discord.User | None = None,
            role: discord.Role | None = None,
            channel: Place | None = None,
            model: str = "",
        ) -> None:
            what = Measure(measure)
            when = Window.NOW if what is Measure.RUNNING else Window(window or "day")
            kind, scope_id = _scope(interaction, scope, member, role, channel)
            await self._ctx.run(
                interaction,
                lambda answer: self._set(answer, kind, scope_id, what, when, amount_of(amount, what), model),
            )

    def _add_clear(self, group: app_commands.Group) -> None:
        @group.command(name="clear", description=word("quota_clear"))
        @app_commands.describe(limit=word("quota_limit"))
        async def clear(interaction: Interaction, limit: str) -> None:
            async def work(answer: Answer) -> None:
                kind, scope_id, what, when, model = _parse(limit)
                await self._set(answer, kind, scope_id, what, when, None, model)

            await self._ctx.run(interaction, work)

        @clear.autocomplete("limit")
        async def known(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
            try:
                return await self._known_limits(interaction, typed)
            except UpscaleError as error:
                log.info("limits_not_offered", why=error.code)
                return []

    def _add_switches(self, group: app_commands.Group) -> None:
        @group.command(name="pause", description=word("quota_pause"))
        @app_commands.describe(paused=word("quota_paused"))
        async def pause(interaction: Interaction, paused: bool) -> None:
            await self._ctx.run(interaction, lambda answer: self._pause(answer, paused))

        @group.command(name="alerts", description=word("quota_alerts"))
        @app_commands.describe(channel=word("quota_alert_channel"))
        async def alerts(interaction: Interaction, channel: Place | None = None) -> None:
            channel_id = str(channel.id) if channel is not None else None
            await self._ctx.run(interaction, lambda answer: self._alerts(answer, channel_id))

    def _add_sponsor(self, group: app_commands.Group) -> None:
        @group.command(name="sponsor", description=word("quota_sponsor"))
        @app_commands.describe(
            channel=word("quota_sponsor_channel"), amount=word("quota_sponsor_amount"), days=word("quota_sponsor_days")
        )
        async def sponsor(
            interaction: Interaction,
            channel: Place,
            amount: app_commands.Range[float, 0.0, 1_000_000.0],
            days: app_commands.Range[int, 1, 366] = 7,
        ) -> None:
            await self._ctx.run(
                interaction,
                lambda answer: self._sponsor(answer, str(channel.id), amount_of(amount, Measure.USD) or None, days),
            )

    # --- doing it ------------------------------------------------------------------------------------------------

    async def _show(self, answer: Answer, note: Line = ()) -> None:
        statuses = await self._ctx.soon(answer, self._ctx.service.limits.workspace_limits(answer.actor))
        await answer.show(self._payload(statuses, answer.locale, note))

    async def _set(
        self,
        answer: Answer,
        kind: ScopeKind,
        scope_id: str,
        what: Measure,
        when: Window,
        units: int | None,
        model: str = "",
    ) -> None:
        actor = answer.actor
        statuses = await self._ctx.soon(
            answer, self._ctx.service.limits.set_limit(actor, kind, scope_id, what, when, units, model)
        )
        note = tr("Limit set.", actor.locale) if units is not None else tr("Limit removed.", actor.locale)
        await answer.show(self._payload(statuses, actor.locale, (note,)))

    def _payload(self, statuses: Sequence[LimitStatus], locale: str, note: Line) -> Payload:
        card = limits(
            statuses, locale, platform="discord", note=note, play_money=self._ctx.service.play_money, of_all=True
        )
        return Payload(lambda _: draw(card))

    async def _pause(self, answer: Answer, paused: bool) -> None:
        actor = answer.actor
        await self._ctx.soon(answer, self._ctx.service.limits.pause(actor, paused))
        stopped = tr("New upscales are paused in this server.", actor.locale)
        resumed = tr("New upscales are possible again in this server.", actor.locale)
        await self._show(answer, (stopped if paused else resumed,))

    async def _alerts(self, answer: Answer, channel_id: str | None) -> None:
        actor = answer.actor
        await self._ctx.soon(answer, self._ctx.service.limits.set_alert_channel(actor, channel_id))
        if channel_id is None:
            note: Line = (tr("Budget alerts are off.", actor.locale),)
        else:
            note = fill(tr("Budget alerts go to {channel}.", actor.locale), channel=Mention("channel", channel_id))
        await self._show(answer, note)

    async def _sponsor(self, answer: Answer, channel_id: str, dollars: int | None, days: int) -> None:
        actor = answer.actor
        ends_at = self._ctx.clock.now() + days * DAY_S
        await self._ctx.soon(answer, self._ctx.service.limits.sponsor(actor, channel_id, dollars, ends_at))
        if dollars is None:
            ended = tr("{channel} is no longer paid from a budget of its own.", actor.locale)
            note = fill(ended, channel=Mention("channel", channel_id))
        else:
            note = fill(
                tr("Images in {channel} are paid from a budget of {amount} until {time}.", actor.locale),
                channel=Mention("channel", channel_id),
                amount=usd(dollars, actor.locale),
                time=Moment(ends_at, "date_time"),
            )
        await self._show(answer, note)

    async def _known_limits(self, interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        """The limits that moderators have set, to choose from; nothing when they cannot be read in time."""
        actor = translate.requester(interaction)
        statuses = await self._ctx.service.limits.workspace_limits(actor)
        choices = []
        for status in statuses:
            limit = status.limit
            label = limit_words(limit, actor.locale)[:CHOICE_MAX]
            if limit.source == "moderator" and typed.lower() in label.lower():
                value = "|".join((limit.scope.kind, limit.scope.id, limit.measure, limit.window, limit.model))
                choices.append(app_commands.Choice(name=label, value=value))
        return choices[:CHOICES_MAX]


def _scope(
    interaction: Interaction,
    scope: str | None,
    member: discord.User | None,
    role: discord.Role | None,
    channel: discord.Object | None,
) -> tuple[ScopeKind, str]:
    if member is not None:
        return ScopeKind.USER, str(member.id)
    if role is not None:
        return ScopeKind.ROLE, str(role.id)
    if channel is not None:
        return ScopeKind.CHANNEL, str(channel.id)
    if scope == "members":
        return ScopeKind.USER, ""
    if scope == "channels":
        return ScopeKind.CHANNEL, ""
    return ScopeKind.WORKSPACE, str(interaction.guild_id or "")


def _parse(limit: str) -> tuple[ScopeKind, str, Measure, Window, str]:
    """The value of an autocomplete choice again. Raises JobNotFound for anything typed by hand."""
    parts = limit.split("|")
    try:
        kind, scope_id, what, when, model = parts
        return ScopeKind(kind), scope_id, Measure(what), Window(when), model
    except ValueError:
        raise JobNotFound from None
