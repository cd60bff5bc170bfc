"""The part of the service that is not about one job: budgets, defaults, privacy, incidents."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from core.accounts.records import Members
from core.budgets.reports import UsageReport
from core.budgets.service import BudgetService
from core.domain import authorization
from core.domain.errors import InternalError, StorageUnavailable, UpscaleError
from core.domain.errors.reference import new_reference
from core.domain.job import Job, Requester
from core.domain.limits import LimitStatus, Measure, ScopeKind, Window
from core.domain.models import Models
from core.jobs.steps import Tools
from core.ports import Guests
from core.presentation import moderation_texts as moderation
from core.storage.database import DATABASE_ERRORS

log = structlog.get_logger(__name__)


class AccountMethods:
    """Half of `core.jobs.service.UpscaleService`; no use by itself."""

    def __init__(self, tools: Tools, members: Members, budget: BudgetService, guests: Guests | None) -> None:
        self._guests = guests
        self._tools = tools
        self._members = members
        self._budget = budget

    @property
    def can_share(self) -> bool:
        """Whether results can be shown to others under an address."""
        return self._tools.links.public

    @property
    def models(self) -> Models:
        """The models on offer."""
        return self._tools.models

    async def usage(self, actor: Requester, *, period: str = "month", member_id: str | None = None) -> UsageReport:
        """Totals, per day, by member; moderators see their workspace, others themselves."""
        return await self._budget.usage(actor, period=period, member_id=member_id)

    async def usage_chart(self, report: UsageReport, *, locale: str, dark: bool = True) -> Path:
        """A PNG of the report; the caller may delete it."""
        return await self._budget.usage_chart(report, locale=locale, dark=dark)

    async def recent(self, actor: Requester, *, limit: int) -> Sequence[Job]:
        """Operator: the newest jobs of every platform, newest first."""
        authorization.check_operator(actor)
        return await self._tools.store.history(None, limit=limit)

    async def paused(self, actor: Requester) -> bool:
        """Whether new jobs are paused where this person is."""
        return await self._budget.ledger.paused(actor) is not None

    async def limits(self, actor: Requester) -> Sequence[LimitStatus]:
        """The limits that apply to the actor here, narrowest first."""
        return await self._tools.ledger.statuses(actor)

    async def set_limit(
        self,
        actor: Requester,
        scope: ScopeKind,
        scope_id: str,
        measure: Measure,
        window: Window,
        amount: int | None,
    ) -> Sequence[LimitStatus]:
        """Moderator: set (None: clear) a limit of the own workspace."""
        return await self._budget.set_limit(actor, scope, scope_id, measure, window, amount)

    async def workspace_limits(self, actor: Requester) -> Sequence[LimitStatus]:
        """Moderator: the limits of the own workspace."""
        return await self._budget.workspace_limits(actor)

    async def sponsor(
        self, actor: Requester, channel_id: str, amount_nanousd: int | None, ends_at: float = 0.0
    ) -> None:
        """Moderator: pay for a channel's jobs from a budget of its own until then; None ends it."""
        await self._budget.sponsor(actor, channel_id, amount_nanousd, ends_at)

    async def add_extra(self, actor: Requester, member_id: str, amount_nanousd: int, window: Window) -> str:
        """Moderator: more money for a member until the window ends; says so."""
        _, ends_at = await self._budget.add_extra(actor, member_id, amount_nanousd, window)
        return moderation.extra_given(amount_nanousd, ends_at, self._budget.zone, actor.locale)

    async def limit_history(self, actor: Requester, *, limit: int = 20) -> Sequence[str]:
        """Moderator: who changed what of the own workspace and when, a line each, newest first."""
        found = await self._budget.limit_changes(actor, limit=limit)
        return moderation.changes(found, self._budget.zone, actor.locale)

    async def set_place_presets(self, actor: Requester, text: str, channel_id: str = "") -> str:
        """Moderator: default values of the own workspace, or of a channel, for who has none; empty clears. Says so.

        Raises NotAllowed, InvalidParameters.
        """
        authorization.check_moderator(actor)
        old, new = await self._members.set_place_presets(actor, text, channel_id)
        await self._budget.rules.note_presets(actor, f"channel {channel_id}" if channel_id else "workspace", old, new)
        return moderation.place_presets(new, f"#{channel_id}" if channel_id else "", actor.locale)

    async def pause(self, actor: Requester, paused: bool) -> None:
        """Moderator: stop or resume new jobs in the own workspace (operator: everywhere)."""
        await self._budget.pause(actor, paused)

    async def set_alert_channel(self, actor: Requester, channel_id: str | None) -> None:
        """Moderator: where budget alerts of the own workspace go; chosen by the operator, the whole bot's as well."""
        if self._guests is not None and await self._guests.is_operator(actor):
            actor = dataclasses.replace(actor, is_operator=True)
        await self._budget.set_alert_channel(actor, channel_id)

    async def defaults(self, actor: Requester) -> Mapping[str, str | int | float | bool]:
        """The member's saved parameter defaults."""
        return await self._members.defaults(actor)

    async def set_defaults(
        self, actor: Requester, text: str, fields: Mapping[str, str | int | float | bool] | None = None
    ) -> Mapping[str, str | int | float | bool]:
        """Replace them by what this says; empty clears."""
        return await self._members.set_defaults(actor, text, fields or {})

    async def export(self, actor: Requester) -> Path:
        """Everything stored about the actor, as a ZIP; the caller deletes it."""
        return await self._members.export(actor)

    async def erase(self, actor: Requester) -> int:
        """Delete everything about the actor but anonymised money rows; the number of jobs erased."""
        return await self._members.erase(actor)

    async def forget_workspace(self, platform: str, workspace_id: str) -> None:
        """The platform revoked our access: end the workspace's jobs quietly and purge its images."""
        await self._members.forget_workspace(platform, workspace_id)

    async def incident(self, area: str, error: BaseException) -> str:
        """Log the unforeseen once and return the reference that people are shown."""
        reference = new_reference()
        log.error("incident", reference=reference, area=area, exc_info=error)
        self._tools.metrics.incident(area)
        try:
            await self._tools.store.add_incident(reference, area=area, kind=type(error).__name__, job_id="")
        except DATABASE_ERRORS as away:
            log.error("incident_not_kept", reference=reference, kind=type(away).__name__)
        return reference

    async def unforeseen(self, area: str, error: BaseException) -> UpscaleError:
        """Whatever a handler met, as a member of the tree. A database that is away is not written to."""
        if isinstance(error, UpscaleError):
            return error
        if isinstance(error, (*DATABASE_ERRORS, ConnectionError, TimeoutError)):
            log.error("storage_unavailable", area=area, kind=type(error).__name__)
            return StorageUnavailable()
        return InternalError(reference=await self.incident(area, error))
