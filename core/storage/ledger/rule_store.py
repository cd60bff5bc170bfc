"""Store changes of limits, pauses, sponsors and alert channels, with who, when, and the old and new value.

Every change increments the rules' version in its own transaction, so that the next decision of any process obeys it.
`core.budgets.service` checks whether the person may make the change.
"""

import dataclasses
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Insert, Row, Table, delete, insert, select, update

from core.domain.job import Requester
from core.domain.limits import AlertPlace, ExtraAllowance, LimitChange, Rule, Sponsor
from core.storage import tables_ledger as t
from core.storage.ledger.rules import OPERATOR_PREFIX, raise_version, rules_of, workspace_key
from core.storage.ledger.sql import SqlLedger

_MAX_TEXT = 200


class SqlRules:
    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger = ledger

    async def set_limit(self, actor: Requester, rule: Rule) -> None:
        """Set this limit of a workspace, or clear it if `rule.amount` is None."""
        key = {
            "platform": f"{OPERATOR_PREFIX}{rule.platform}" if rule.source == "operator" else rule.platform,
            "workspace_id": rule.workspace_id,
            "scope": rule.kind.value,
            "scope_id": rule.id,
            "measure": rule.measure.value,
            "window": rule.window.value,
            "model": rule.model,
        }
        row = None if rule.amount is None else {"amount": rule.amount, **self._stamp(actor)}
        of_model = f"model={rule.model}" if rule.model else ""
        subject = " ".join(filter(None, (rule.kind, rule.id, rule.measure, rule.window, of_model)))
        await self._write(
            actor, "limit", subject, rule.amount, lambda c: getattr(_replace(c, t.limits, key, row), "amount", None)
        )

    async def set_pause(self, actor: Requester, platform: str, workspace_id: str, *, paused: bool) -> None:
        """Pause or resume a workspace, or everything if both names are empty."""
        key = {"place": workspace_key(platform, workspace_id) if workspace_id else ""}
        row, subject = self._stamp(actor) if paused else None, "workspace" if workspace_id else "everything"
        names = {True: "paused", False: "open"}
        await self._write(
            actor, "pause", subject, names[paused], lambda c: names[_replace(c, t.pauses, key, row) is not None]
        )

    async def set_sponsor(
        self, actor: Requester, channel_id: str, amount_nanousd: int | None, ends_at: float
    ) -> Sponsor | None:
        """Let this budget pay for the channel from now on, instead of an earlier one; amount None: end it."""
        now = self._ledger.clock.now()
        where = {"platform": actor.platform, "workspace_id": actor.workspace_id, "channel_id": channel_id}
        sponsor = None
        if amount_nanousd is not None:
            terms = {"amount_nanousd": amount_nanousd, "starts_at": now, "ends_at": ends_at, "set_by": actor.user_id}
            sponsor = Sponsor(id=secrets.token_hex(8), **where, **terms)  # type: ignore[arg-type]

        def work(connection: Connection) -> object:
            current = (*_same(t.sponsors, where), t.sponsors.c.ends_at > now)
            old = connection.scalar(select(t.sponsors.c.amount_nanousd).where(*current).limit(1))
            connection.execute(update(t.sponsors).where(*current).values(ends_at=now))
            if sponsor is not None:
                connection.execute(insert(t.sponsors).values(dataclasses.asdict(sponsor)))
            return old

        await self._write(actor, "sponsor", f"channel {channel_id}", amount_nanousd, work)
        return sponsor

    async def add_extra(self, actor: Requester, extra: ExtraAllowance) -> None:
        def work(connection: Connection) -> None:
            connection.execute(delete(t.extras).where(t.extras.c.ends_at <= self._ledger.clock.now()))
            connection.execute(insert(t.extras).values(**dataclasses.asdict(extra), **self._stamp(actor)))

        await self._write(actor, "extra", f"user {extra.user_id}", extra.amount_nanousd, work)

    async def extras_kept(self, platform: str, workspace_id: str) -> int:
        c = t.extras.c
        here = (c.platform == platform, c.workspace_id == workspace_id, c.ends_at > self._ledger.clock.now())
        return len(await self._ledger.database.rows(select(c.user_id).where(*here)))

    async def set_alert_channel(self, actor: Requester, channel_id: str | None, *, everything: bool) -> None:
        """Send the workspace's alerts to this channel; None: to no channel."""
        key = {"platform": actor.platform, "workspace_id": actor.workspace_id}
        row = {"channel_id": channel_id, "everything": everything, "locale": actor.locale[:16], **self._stamp(actor)}
        new = row if channel_id is not None else None
        await self._write(
            actor,
            "alerts",
            "channel",
            channel_id,
            lambda c: getattr(_replace(c, t.alert_channels, key, new), "channel_id", None),
        )

    async def forget_workspace(self, platform: str, workspace_id: str) -> None:
        """Delete its moderators' limits, extras and alert channels, and end its sponsors; keep the operator's rules."""
        here = {"platform": platform, "workspace_id": workspace_id}
        now = self._ledger.clock.now()
        ending = update(t.sponsors).where(*_same(t.sponsors, here), t.sponsors.c.ends_at > now).values(ends_at=now)

        def work(connection: Connection) -> object:
            for table in (t.limits, t.extras, t.alert_channels):
                connection.execute(delete(table).where(*_same(table, here)))
            return connection.execute(ending)

        await self._apply(work)

    async def note_presets(self, actor: Requester, where: str, old: str, new: str) -> None:
        change = self._change(actor, "presets", where, old, new)
        await self._ledger.database.write(lambda connection: connection.execute(change))

    async def sponsors(self, platform: str, workspace_id: str) -> Sequence[Sponsor]:
        c = t.sponsors.c
        here = (c.platform == platform, c.workspace_id == workspace_id, c.ends_at > self._ledger.clock.now())
        rows = await self._ledger.database.rows(select(t.sponsors).where(*here).order_by(c.ends_at))
        return [Sponsor(**row._asdict()) for row in rows]

    async def alert_places(self, *, set_before: float = float("inf")) -> Sequence[AlertPlace]:
        c = t.alert_channels.c
        query = select(c.platform, c.workspace_id, c.channel_id, c.everything, c.locale).where(c.set_at < set_before)
        return [AlertPlace(*row) for row in await self._ledger.database.rows(query)]

    async def limits(self, platform: str, workspace_id: str) -> Sequence[Rule]:
        c = t.limits.c
        query = select(t.limits).where(c.platform == platform, c.workspace_id == workspace_id)
        order = (c.scope, c.scope_id, c.measure, c.window, c.model)
        return list(rules_of(await self._ledger.database.rows(query.order_by(*order))))

    async def operator_limits(self) -> Sequence[Rule]:
        c = t.limits.c
        query = select(t.limits).where(c.platform.startswith(OPERATOR_PREFIX, autoescape=True))
        order = (c.scope, c.platform, c.workspace_id, c.scope_id, c.measure)
        return list(rules_of(await self._ledger.database.rows(query.order_by(*order))))

    async def history(self, platform: str, workspace_id: str, *, limit: int = 50) -> Sequence[LimitChange]:
        c = t.changes.c
        query = select(c.at, c.actor_id, c.actor_name, c.action, c.subject, c.old, c.new, c.platform, c.workspace_id)
        if platform or workspace_id:
            query = query.where(c.platform == platform, c.workspace_id == workspace_id)
        return [LimitChange(*row) for row in await self._ledger.database.rows(query.order_by(c.id.desc()).limit(limit))]

    async def _write(
        self, actor: Requester, action: str, subject: str, new: object, work: Callable[[Connection], object]
    ) -> None:
        """Run `work`, which returns the old value, and record the change."""

        def noted(connection: Connection) -> object:
            old = work(connection)
            return connection.execute(self._change(actor, action, subject, old, new))

        await self._apply(noted)

    async def _apply(self, work: Callable[[Connection], object]) -> None:
        await self._ledger.keys()  # creates the row of the version

        def and_raise_version(connection: Connection) -> None:
            work(connection)
            raise_version(connection)

        await self._ledger.database.write(and_raise_version)
        self._ledger.forget_rules()

    def _stamp(self, actor: Requester) -> dict[str, object]:
        return {"set_by": actor.user_id, "set_at": self._ledger.clock.now()}

    def _change(self, actor: Requester, action: str, subject: str, old: object, new: object) -> Insert:
        return insert(t.changes).values(
            at=self._ledger.clock.now(),
            platform=actor.platform,
            workspace_id=actor.workspace_id,
            actor_id=actor.user_id,
            actor_name=actor.user_name[:100],
            action=action,
            subject=subject[:_MAX_TEXT],
            old="" if old is None else str(old)[:_MAX_TEXT],
            new="" if new is None else str(new)[:_MAX_TEXT],
        )


def _replace(
    connection: Connection, table: Table, key: dict[str, str], row: dict[str, object] | None
) -> Row[Any] | None:
    old = (connection.execute(select(table).where(*_same(table, key)))).first()
    connection.execute(delete(table).where(*_same(table, key)))
    if row is not None:
        connection.execute(insert(table).values(**key, **row))
    return old


def _same(table: Table, values: dict[str, str]) -> tuple[ColumnElement[bool], ...]:
    return tuple(table.c[name] == value for name, value in values.items())
