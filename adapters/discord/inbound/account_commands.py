"""`/usage`, `/history`, `/settings`, `/privacy`, `/help`: a member's own data, always in ephemeral messages."""

import asyncio
import contextlib
import inspect
import tempfile
import zipfile
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import discord
from discord import app_commands

from adapters.discord.inbound.commands import Command, command, group, localized, parameter_command, preset_autocomplete
from adapters.discord.inbound.dispatcher import HandlerContext
from adapters.discord.inbound.interaction_response import Answer
from adapters.discord.outbound.job_message import REQUEST_MAX_BYTES
from adapters.discord.outbound.payload import UploadTooLarge
from core.budgets.reports.chart import ChartError
from core.domain.errors import JobNotFound
from core.jobs.service import JobService
from core.presentation import Card, confirmation_card, tr
from core.presentation.cards import account
from core.presentation.cards.budget import usage
from core.presentation.cards.help import help_card

Count = app_commands.Range[int, 1, account.HISTORY_MOST]
SETTINGS_COMMANDS = tuple(f"/settings {verb}" for verb in ("set", "clear", "save", "delete"))
_PERIODS = [app_commands.Choice(name=localized(name), value=name) for name in ("day", "week", "month", "year")]


class AccountCommands:
    def __init__(self, ctx: HandlerContext) -> None:
        self._ctx = ctx
        self._service = ctx.service

    def commands(self) -> list[Command | app_commands.Group]:
        own = partial(command, self._ctx)
        set_ = parameter_command(self._ctx, "settings_set", self._set_defaults, without=("seed", "safety"))
        named = ("name", app_commands.Range[str, 1, 60], localized("settings_save_name"), inspect.Parameter.empty)
        save = parameter_command(self._ctx, "settings_save", self._save_preset, before=(named,), without=("safety",))
        delete = own("settings_delete", self._delete_preset)
        delete.autocomplete("name")(preset_autocomplete(self._ctx, own_only=True))
        return [
            own("usage", self._usage, period=_PERIODS),
            own("history", self._history),
            group(
                "settings",
                own("settings_show", self._settings, ()),
                set_,
                own("settings_clear", self._clear_defaults, ()),
                save,
                delete,
            ),
            group("privacy", own("privacy_export", self._export), own("privacy_delete", self._ask_erase)),
            own("help", self._help),
        ]

    async def _usage(self, answer: Answer, period: str | None = None, member: discord.User | None = None) -> None:
        actor = answer.actor
        member_id = str(member.id) if member is not None else None
        usage_report = self._service.budgets.usage(actor, period=period or "month", member_id=member_id)
        report = await self._ctx.defer_if_slow(answer, usage_report)
        await answer.acknowledge(ephemeral=True)
        name = member.display_name if member is not None else ""
        card = usage(report, report.left, actor.locale, member=name)
        try:
            chart = await self._service.budgets.usage_chart(report, locale=actor.locale)
        except ChartError:
            await answer.show(card)
            return
        try:
            await answer.show(card, {"chart": (chart, "usage.png")})
        finally:
            await asyncio.to_thread(chart.unlink, True)

    async def _history(self, answer: Answer, count: Count = account.HISTORY_SHOWN) -> None:
        history = self._service.history(answer.actor, limit=count, refused=False)
        jobs = await self._ctx.defer_if_slow(answer, history)
        await answer.show(account.history(jobs, answer.locale))

    async def _settings(self, answer: Answer) -> None:
        await self._show_settings(answer, self._service.accounts.settings(answer.actor))

    async def _set_defaults(self, answer: Answer, **given: Any) -> None:
        accounts, actor = self._service.accounts, answer.actor
        # Without values this shows the settings; only `/settings clear` clears them.
        work = accounts.set_defaults(actor, "", given) if given else accounts.settings(actor)
        await self._show_settings(answer, work)

    async def _clear_defaults(self, answer: Answer) -> None:
        await self._show_settings(answer, self._service.accounts.set_defaults(answer.actor, ""))

    async def _save_preset(self, answer: Answer, name: str, **given: Any) -> None:
        await self._show_settings(answer, self._service.accounts.save_preset(answer.actor, name, "", given))

    async def _delete_preset(self, answer: Answer, name: str) -> None:
        await self._show_settings(answer, self._service.accounts.delete_preset(answer.actor, name))

    async def _show_settings(self, answer: Answer, work: Coroutine[Any, Any, account.OwnSettings]) -> None:
        own = await self._ctx.defer_if_slow(answer, work)
        await answer.show(account.settings(own, answer.locale, self._service.models, *SETTINGS_COMMANDS))

    async def _export(self, answer: Answer) -> None:
        actor = answer.actor
        # Fails at once, instead of after the acknowledgement, when the database does not answer.
        await self._ctx.defer_if_slow(answer, self._service.accounts.defaults(actor))
        await answer.acknowledge(ephemeral=True)
        archive = await self._service.accounts.export(actor)
        limit = min(answer.interaction.filesize_limit, REQUEST_MAX_BYTES)
        made: list[Path] = [archive]
        try:
            if (await asyncio.to_thread(archive.stat)).st_size <= limit:
                with contextlib.suppress(UploadTooLarge):
                    whole = account.exported(actor.locale, whole=True)
                    await answer.show(whole, {"file": (archive, "export.zip")})
                    return
            made.append(await asyncio.to_thread(without_images, archive))
            await answer.show(account.exported(actor.locale, whole=False), {"file": (made[-1], "export.zip")})
        finally:
            for path in made:
                await asyncio.to_thread(path.unlink, True)

    async def _ask_erase(self, answer: Answer) -> None:
        await answer.show(confirmation_card(account.erase_action(answer.locale, answer.actor.user_id)))

    async def erase(self, answer: Answer, subject: str) -> None:
        """The confirmation button; only for the member who was asked."""
        actor = answer.actor
        if subject != actor.user_id:
            raise JobNotFound
        await self._ctx.commits.before_ack(self._service.accounts.defaults(actor), answer.defer_update)
        await answer.update(account.erased(await self._service.accounts.erase(actor), actor.locale))

    async def _help(self, answer: Answer) -> None:
        await answer.show(help_of(self._service, answer.locale))


def help_of(service: JobService, locale: str) -> Card:
    return help_card(
        locale,
        [(f"/{name}", name) for name in ("upscale", "usage", "history", "settings", "privacy", "quota", "queue")],
        service,
        save_preset="/settings save",
        ways=[tr("Or right-click a message → Apps → Upscale.", locale)],
    )


RECORD_SUFFIX = ".json"
"""Of the records about a member; everything else in the archive is an image, whatever its name."""


def without_images(archive: Path) -> Path:
    """A new ZIP of the records only; the caller deletes it."""
    with tempfile.NamedTemporaryFile(suffix=".zip", delete=False) as out:
        target = Path(out.name)
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as part:
        for entry in whole.infolist():
            if entry.filename.lower().endswith(RECORD_SUFFIX):
                part.writestr(entry, whole.read(entry))
    return target
