"""A member's own commands: `/usage`, `/history`, `/settings`, `/privacy`, `/help`. Always answered privately."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any, Literal

import discord
from discord import app_commands

from adapters.discord.inbound.command_texts import word
from adapters.discord.inbound.commands import command, parameter_options
from adapters.discord.inbound.dispatcher import HandlerContext
from adapters.discord.inbound.interaction_response import Answer
from adapters.discord.inbound.translate import Interaction
from adapters.discord.outbound.export import reduced
from adapters.discord.outbound.payload import Payload, TooLargeHere
from adapters.discord.outbound.upload import REQUEST_MAX_BYTES
from adapters.discord.views.card import draw
from core.budgets.reports.chart import ChartError
from core.domain.errors import JobNotFound
from core.presentation import tr
from core.presentation.card import Code, Line, fill
from core.presentation.cards import account
from core.presentation.cards.budget import usage
from core.presentation.cards.help import help_card

Period = Literal["day", "week", "month", "year"]
HISTORY_LENGTH = 10
CHART = "usage.png"
_PERIODS = [app_commands.Choice(name=word(name), value=name) for name in ("day", "week", "month", "year")]


class OwnCommands:
    """Everything here reads or changes only what belongs to whoever asks (the core sees to that)."""

    def __init__(self, ctx: HandlerContext) -> None:
        self._ctx = ctx

    def commands(self) -> list[app_commands.Command[Any, ..., Any] | app_commands.Group]:
        """To be added to the tree."""
        return [self._usage_command(), self._history_command(), self._settings(), self._privacy(), self._help_command()]

    # --- usage ---------------------------------------------------------------------------------------------------

    def _usage_command(self) -> app_commands.Command[Any, ..., None]:
        @app_commands.command(name="usage", description=word("usage"))
        @app_commands.describe(period=word("usage_period"), member=word("usage_member"))
        @app_commands.choices(period=_PERIODS)
        async def usage_(
            interaction: Interaction, period: str | None = None, member: discord.User | None = None
        ) -> None:
            await self._ctx.run(interaction, lambda answer: self._usage(answer, period or "month", member))

        return usage_

    async def _usage(self, answer: Answer, period: str, member: discord.User | None) -> None:
        actor = answer.actor
        service = self._ctx.service
        member_id = str(member.id) if member is not None else None
        report = await self._ctx.soon(answer, service.budgets.usage(actor, period=period, member_id=member_id))
        await answer.acknowledge(ephemeral=True)
        name = member.display_name if member is not None else ""
        card = usage(report, await service.limits.applying(actor), actor.locale, member=name)
        try:
            chart = await service.budgets.usage_chart(report, locale=actor.locale)
        except ChartError:
            await answer.show(Payload(lambda _: draw(card)))
            return
        try:
            await answer.show(Payload(lambda _: draw(card, {"chart": CHART}), ((chart, CHART),)))
        finally:
            await asyncio.to_thread(chart.unlink, True)

    # --- history -------------------------------------------------------------------------------------------------

    def _history_command(self) -> app_commands.Command[Any, ..., None]:
        @app_commands.command(name="history", description=word("history"))
        async def history(interaction: Interaction) -> None:
            await self._ctx.run(interaction, self._history)

        return history

    async def _history(self, answer: Answer) -> None:
        actor = answer.actor
        jobs = await self._ctx.soon(answer, self._ctx.service.history(actor, limit=HISTORY_LENGTH))
        await answer.show(Payload(lambda _: draw(account.history(jobs, actor.locale))))

    # --- settings ------------------------------------------------------------------------------------------------

    def _settings(self) -> app_commands.Group:
        group = app_commands.Group(name="settings", description=word("settings"))

        @group.command(name="show", description=word("settings_show"))
        async def show(interaction: Interaction) -> None:
            await self._ctx.run(interaction, lambda answer: self._defaults(answer, None))

        async def set_(interaction: Interaction, given: dict[str, Any]) -> None:
            await self._ctx.run(interaction, lambda answer: self._defaults(answer, given))

        models = self._ctx.service.models
        options = parameter_options(models, without=("seed", "safety"))
        group.add_command(command("set", models, options, set_, described="settings_set"))

        @group.command(name="clear", description=word("settings_clear"))
        async def clear(interaction: Interaction) -> None:
            await self._ctx.run(interaction, lambda answer: self._defaults(answer, {}))

        return group

    async def _defaults(self, answer: Answer, given: dict[str, str | int | float | bool] | None) -> None:
        """Show the saved defaults, after replacing them by `given` (empty: cleared) unless that is None."""
        actor = answer.actor
        service = self._ctx.service
        asked = service.accounts.defaults(actor) if given is None else service.accounts.set_defaults(actor, "", given)
        saved = await self._ctx.soon(answer, asked)
        card = account.settings(saved, actor.locale, service.models, how=_how(actor.locale))
        await answer.show(Payload(lambda _: draw(card)))

    # --- privacy -------------------------------------------------------------------------------------------------

    def _privacy(self) -> app_commands.Group:
        group = app_commands.Group(name="privacy", description=word("privacy"))

        @group.command(name="export", description=word("privacy_export"))
        async def export(interaction: Interaction) -> None:
            await self._ctx.run(interaction, self._export)

        @group.command(name="delete", description=word("privacy_delete"))
        async def delete(interaction: Interaction) -> None:
            await self._ctx.run(interaction, self._ask_erase)

        return group

    async def _export(self, answer: Answer) -> None:
        actor = answer.actor
        await self._ctx.soon(answer, self._ctx.service.accounts.defaults(actor))  # does the database answer at all?
        await answer.acknowledge(ephemeral=True)
        archive = await self._ctx.service.accounts.export(actor)
        limit = min(answer.interaction.filesize_limit, REQUEST_MAX_BYTES)
        made: list[Path] = [archive]
        try:
            if (await asyncio.to_thread(archive.stat)).st_size <= limit:
                with contextlib.suppress(TooLargeHere):
                    await answer.show(_archive(archive, actor.locale, whole=True))
                    return
            made.append(await asyncio.to_thread(reduced, archive))
            await answer.show(_archive(made[-1], actor.locale, whole=False))
        finally:
            for path in made:
                await asyncio.to_thread(path.unlink, True)

    async def _ask_erase(self, answer: Answer) -> None:
        locale = answer.locale
        user_id = str(answer.interaction.user.id)
        await answer.show(Payload(lambda _: draw(account.ask_erase(user_id, locale))))

    async def erase(self, answer: Answer, subject: str) -> None:
        """The button under the question; only for whoever was asked."""
        if subject != answer.actor.user_id:
            raise JobNotFound
        actor = answer.actor
        await self._ctx.commits.first(self._ctx.service.accounts.defaults(actor), answer.hold)
        count = await self._ctx.service.accounts.erase(actor)
        await answer.update(Payload(lambda _: draw(account.erased(count, actor.locale))))

    # --- help ----------------------------------------------------------------------------------------------------

    def _help_command(self) -> app_commands.Command[Any, ..., None]:
        @app_commands.command(name="help", description=word("help"))
        async def help_(interaction: Interaction) -> None:
            await self._ctx.run(interaction, self._help)

        return help_

    async def _help(self, answer: Answer) -> None:
        service, locale = self._ctx.service, answer.locale
        commands = [
            ("/upscale", tr("upscales an image or the image behind a link", locale)),
            ("/usage", tr("what you spent and what is left", locale)),
            ("/history", tr("your last images", locale)),
            ("/settings", tr("your own defaults", locale)),
            ("/privacy", tr("export or delete your data", locale)),
            ("/quota", tr("limits of this server (moderators)", locale)),
        ]
        card = help_card(
            locale,
            commands,
            service.models,
            confirm_above_nanousd=service.confirm_above_nanousd,
            play_money=service.play_money,
            ways=[tr("Or right-click a message → Apps → Upscale.", locale)],
        )
        await answer.show(Payload(lambda _: draw(card)))


def _how(locale: str) -> tuple[Line, ...]:
    change = tr("Change them with {command}.", locale)
    return (fill(change, command=Code("/settings set")),)


def _archive(path: Path, locale: str, *, whole: bool) -> Payload:
    card = account.exported(locale, whole=whole)
    return Payload(lambda _: draw(card, {"file": "export.zip"}), ((path, "export.zip"),))
