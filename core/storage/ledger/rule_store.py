"""What people change about limits: a moderator's limits, pauses, sponsors, alert channels, with who, when, old and new.

Every change raises the rules' version in its own transaction, so the next decision of any process obeys it. Whether
the person may is judged in `core.budgets.service`, not here.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.budgets.alerts import AlertPlace
from core.domain.job import Requester
from core.domain.limits import Extra, LimitChange, Rule, Sponsor
from core.storage import tables_ledger as t
from core.storage.ledger.rules import OPERATORS, VERSION, place_key, rule_of, rules_version
from core.storage.ledger.sql import SqlLedger

_MAX_TEXT = 200


class SqlRules:
    """Writes rules beside the ledger that obeys them."""

    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger = ledger

    async def set_limit(self, actor: Requester, rule: Rule) -> None:
        """Set this limit of a workspace, or clear it where `rule.amount` is None."""
        key = {
            "platform": f"{OPERATORS}{rule.platform}" if rule.source == "operator" else rule.platform,
            "workspace_id": rule.workspace_id,
            "scope": rule.kind.value,
            "scope_id": rule.id,
            "measure": rule.measure.value,
            "window": rule.window.value,
            "model": rule.model,
        }

        async def work(connection: AsyncConnection) -> None:
            old = await connection.scalar(select(t.limits.c.amount).where(*_same(t.limits, key)))
            await connection.execute(delete(t.limits).where(*_same(t.limits, key)))
            if rule.amount is not None:
                stamp = {"amount": rule.amount, "set_by": actor.user_id, "set_at": self._ledger.clock.now()}
                await connection.execute(insert(t.limits).values(**key, **stamp))
            of_model = f"model={rule.model}" if rule.model else ""
            subject = " ".join(filter(None, (rule.kind, rule.id, rule.measure, rule.window, of_model)))
            await self._note(connection, actor, "limit", subject, old, rule.amount)

        await self._write(work)

    async def set_pause(self, actor: Requester, platform: str, workspace_id: str, *, paused: bool) -> None:
        """Pause or resume a workspace; everywhere, where both names are empty."""
        place = place_key(platform, workspace_id) if workspace_id else ""

        async def work(connection: AsyncConnection) -> None:
            removed = await connection.execute(delete(t.pauses).where(t.pauses.c.place == place))
            if paused:
                row = {"place": place, "set_by": actor.user_id, "set_at": self._ledger.clock.now()}
                await connection.execute(insert(t.pauses).values(**row))
            before = "paused" if removed.rowcount else "open"
            subject = "workspace" if place else "everything"
            await self._note(connection, actor, "pause", subject, before, "paused" if paused else "open")

        await self._write(work)

    async def set_sponsor(
        self, actor: Requester, channel_id: str, amount_nanousd: int | None, ends_at: float
    ) -> Sponsor | None:
        """From now on this budget pays for the channel, in place of an earlier one; amount None: nobody does."""
        now = self._ledger.clock.now()
        sponsor = (
            None
            if amount_nanousd is None
            else Sponsor(
                secrets.token_hex(8),
                actor.platform,
                actor.workspace_id,
                channel_id,
                amount_nanousd,
                now,
                ends_at,
                actor.user_id,
            )
        )

        async def work(connection: AsyncConnection) -> None:
            where = {"platform": actor.platform, "workspace_id": actor.workspace_id, "channel_id": channel_id}
            current = (*_same(t.sponsors, where), t.sponsors.c.ends_at > now)
            old = await connection.scalar(select(t.sponsors.c.amount_nanousd).where(*current).limit(1))
            await connection.execute(update(t.sponsors).where(*current).values(ends_at=now))
            if sponsor is not None:
                names = Sponsor.__dataclass_fields__
                await connection.execute(insert(t.sponsors).values({name: getattr(sponsor, name) for name in names}))
            await self._note(connection, actor, "sponsor", f"channel {channel_id}", old, amount_nanousd)

        await self._write(work)
        return sponsor

    async def add_extra(self, actor: Requester, extra: Extra) -> None:
        """More money for a member until it ends; earlier extras run on."""

        async def work(connection: AsyncConnection) -> None:
            now = self._ledger.clock.now()
            await connection.execute(delete(t.extras).where(t.extras.c.ends_at <= now))
            stamp = {"set_by": actor.user_id, "set_at": now}
            await connection.execute(insert(t.extras).values(**dataclasses.asdict(extra), **stamp))
            await self._note(connection, actor, "extra", f"user {extra.user_id}", None, extra.amount_nanousd)

        await self._write(work)

    async def note_presets(self, actor: Requester, where: str, old: str, new: str) -> None:
        """Keep that the default values of a place were changed."""

        async def work(connection: AsyncConnection) -> None:
            await self._note(connection, actor, "presets", where, old, new)

        await self._ledger.database.write(work)

    async def sponsors(self, platform: str, workspace_id: str) -> Sequence[Sponsor]:
        """Budgets of this workspace that are not over, the earliest to end first."""
        now = self._ledger.clock.now()
        query = select(t.sponsors).where(
            t.sponsors.c.platform == platform,
            t.sponsors.c.workspace_id == workspace_id,
            t.sponsors.c.ends_at > now,
        )

        async def work(connection: AsyncConnection) -> Sequence[Sponsor]:
            rows = await connection.execute(query.order_by(t.sponsors.c.ends_at))
            return [Sponsor(**row._asdict()) for row in rows]

        return await self._ledger.database.read(work)

    async def set_alert_channel(self, actor: Requester, channel_id: str | None, *, everything: bool) -> None:
        """Send the workspace's alerts here; None: nowhere."""
        where = {"platform": actor.platform, "workspace_id": actor.workspace_id}

        async def work(connection: AsyncConnection) -> None:
            same = _same(t.alert_channels, where)
            old = await connection.scalar(select(t.alert_channels.c.channel_id).where(*same))
            await connection.execute(delete(t.alert_channels).where(*same))
            if channel_id is not None:
                stamp = {"set_by": actor.user_id, "set_at": self._ledger.clock.now(), "locale": actor.locale[:16]}
                row = where | {"channel_id": channel_id, "everything": everything} | stamp
                await connection.execute(insert(t.alert_channels).values(row))
            await self._note(connection, actor, "alerts", "channel", old, channel_id)

        await self._write(work)

    async def alert_places(self) -> Sequence[AlertPlace]:
        """Every channel that wants alerts."""

        async def work(connection: AsyncConnection) -> Sequence[AlertPlace]:
            c = t.alert_channels.c
            rows = await connection.execute(select(c.platform, c.workspace_id, c.channel_id, c.everything, c.locale))
            return [AlertPlace(*row) for row in rows]

        return await self._ledger.database.read(work)

    async def limits(self, platform: str, workspace_id: str) -> Sequence[Rule]:
        async def work(connection: AsyncConnection) -> Sequence[Rule]:
            c = t.limits.c
            query = select(t.limits).where(c.platform == platform, c.workspace_id == workspace_id)
            rows = await connection.execute(query.order_by(c.scope, c.scope_id, c.measure, c.window, c.model))
            return [rule_of(row) for row in rows]

        return await self._ledger.database.read(work)

    async def operator_limits(self) -> Sequence[Rule]:
        """The limits that the operator has set at run time, for any place."""

        async def work(connection: AsyncConnection) -> Sequence[Rule]:
            c = t.limits.c
            query = select(t.limits).where(c.platform.startswith(OPERATORS, autoescape=True))
            rows = await connection.execute(query.order_by(c.scope, c.platform, c.workspace_id, c.scope_id, c.measure))
            return [rule_of(row) for row in rows]

        return await self._ledger.database.read(work)

    async def history(self, platform: str, workspace_id: str, *, limit: int = 50) -> Sequence[LimitChange]:
        """Who changed what and when, newest first; anywhere, where both names are empty."""

        async def work(connection: AsyncConnection) -> Sequence[LimitChange]:
            c = t.changes.c
            facts = (c.at, c.actor_id, c.actor_name, c.action, c.subject, c.old, c.new, c.platform, c.workspace_id)
            query = select(*facts)
            if platform or workspace_id:
                query = query.where(c.platform == platform, c.workspace_id == workspace_id)
            return [LimitChange(*row) for row in await connection.execute(query.order_by(c.id.desc()).limit(limit))]

        return await self._ledger.database.read(work)

    async def _write(self, work: Any) -> None:
        await self._ledger.keys()  # makes the row that holds the version

        async def and_raise_version(connection: AsyncConnection) -> None:
            await work(connection)
            version = int(await rules_version(connection)) + 1
            await connection.execute(update(t.meta).where(t.meta.c.key == VERSION).values(value=str(version)))

        await self._ledger.database.write(and_raise_version)
        self._ledger.forget_rules()

    async def _note(
        self, connection: AsyncConnection, actor: Requester, action: str, subject: str, old: object, new: object
    ) -> None:
        row = {
            "at": self._ledger.clock.now(),
            "platform": actor.platform,
            "workspace_id": actor.workspace_id,
            "actor_id": actor.user_id,
            "actor_name": actor.user_name[:100],
            "action": action,
            "subject": subject[:_MAX_TEXT],
            "old": "" if old is None else str(old)[:_MAX_TEXT],
            "new": "" if new is None else str(new)[:_MAX_TEXT],
        }
        await connection.execute(insert(t.changes).values(row))


def _same(table: Any, values: dict[str, str]) -> tuple[ColumnElement[bool], ...]:
    return tuple(table.c[name] == value for name, value in values.items())
