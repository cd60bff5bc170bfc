"""The ledger's calls, batched, and the sweep for holds whose job is gone."""

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Literal, cast

import structlog
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from core.domain.errors import LedgerUnavailable
from core.domain.job import Requester
from core.domain.limits import LimitStatus, Window, local_day, span
from core.ports import Clock, HoldAnswer, HoldRequest
from core.ports.ownership import owner_token
from core.storage import tables_ledger as t
from core.storage.database import Database
from core.storage.group_commit import Batcher
from core.storage.ledger import reserve, rows
from core.storage.ledger.operations import AdmitCall, HoldCall, run
from core.storage.ledger.rules import VERSION, CounterNames, Rules, load_rules, rules_version
from core.storage.ledger.transaction import LedgerDatabase
from core.storage.ledger.unit_of_work import Hold, LedgerSettings, LedgerSnapshot

log = structlog.get_logger(__name__)

_MAX_BATCH = 128
_MAX_QUEUE = 20_000
_RULES_FRESH_S = 2.0
"""How old the rules for `paused` may be; a hold always checks the current ones."""

_BALANCES_KEPT_S = 40 * 86_400
"""Balances of windows that ended longer ago are deleted; the entries are kept."""

_MAX_SWEPT = 10_000
"""Holds checked in one sweep; the next one continues with the rest."""

_SALT = "salt"


class SqlLedger:
    """Decides what may be spent: holds, settlements and releases, correct under repeated and concurrent calls.

    Raises LedgerUnavailable when the database is not available. `close` waits for pending writes.
    """

    def __init__(self, database: LedgerDatabase | Database, clock: Clock, settings: LedgerSettings) -> None:
        self.database = LedgerDatabase(database) if isinstance(database, Database) else database
        self.clock = clock
        self.settings = settings
        self._rules: Rules | None = None
        self._rules_at = float("-inf")
        self._batches = Batcher(self._run, max_batch=_MAX_BATCH, away=(LedgerUnavailable,))

    async def hold(self, request: HoldRequest) -> HoldAnswer:
        """Hold the amount on all limits that apply, or on none. Raises LimitReached, TooManyWaiting, Paused."""
        return cast(HoldAnswer, await self._call(AdmitCall(request.key, request)))

    async def admit(self, key: str) -> HoldAnswer:
        """Ask for a slot for a waiting hold. Raises LedgerUnavailable if nothing is held under this key."""
        return cast(HoldAnswer, await self._call(AdmitCall(key)))

    async def touch(self, keys: Sequence[str]) -> None:
        if keys:
            await self._call(HoldCall("", lambda snapshot: snapshot.touched.update(keys)))

    async def settle(self, key: str, *, amount_nanousd: int, megapixels: Decimal, real: bool = True) -> None:
        """Turn the hold into this charge, once. With `real` False nothing was spent. Raises NotOwner."""

        def work(snapshot: LedgerSnapshot) -> bool:
            return reserve.settle(snapshot, key, amount_nanousd, megapixels, real=real)

        if not await self._call(HoldCall(key, work, owner_token(key))):
            log.warning("settle_without_hold", job=key)

    async def release(self, key: str) -> None:
        """Release the hold in full. Repeated calls do nothing; a settled hold stays settled."""
        await self._call(HoldCall(key, lambda snapshot: reserve.release(snapshot, key, "release"), owner_token(key)))

    async def correct(self, key: str, *, amount_nanousd: int, note: str, megapixels: Decimal | None = None) -> int:
        """Change the charge of an ended hold to this amount; returns the difference in nano-dollars."""
        work = HoldCall(key, lambda snapshot: reserve.correct(snapshot, key, amount_nanousd, megapixels, note))
        return cast(int, await self._call(work))

    async def holds(self, keys: Sequence[str]) -> Mapping[str, Hold]:
        found = [row for query in rows.holds_of(keys) for row in await self.database.rows(query)]
        return {row.key: rows.hold_of(row) for row in found}

    async def statuses(
        self, requester: Requester, model: str | None = None, *, amount_nanousd: int = 1
    ) -> tuple[LimitStatus, ...]:
        """Return every limit that applies to this person here (and to this model), with use, narrowest first.

        A sponsor's budget counts if it has `amount_nanousd` left; else the member's own limits pay.
        """
        if self.settings.play_money:
            return ()
        await self.keys()

        def look(connection: Connection) -> tuple[LimitStatus, ...]:
            snapshot = self._snapshot(self.rules(connection))
            plans = reserve.payment_plans(snapshot, requester, model)
            bounds = [bound for plan in plans for bound in (*plan.bounds, *plan.slots)]
            snapshot.balances = rows.read_balances(
                connection, {key for b in bounds for key in snapshot.balance_keys(b)}
            )
            *sponsored, own = plans
            paying = next((p for p in sponsored if snapshot.status(p.bounds[0]).left >= amount_nanousd), own)
            return tuple(map(snapshot.status, (*paying.bounds, *paying.slots)))

        return await self.database.run_read(look)

    async def paused(self, requester: Requester) -> Literal["operator", "moderator"] | None:
        """Return who paused new jobs here; cheap, and at most two seconds old."""
        if self._rules is None or time.monotonic() - self._rules_at > _RULES_FRESH_S:
            await self.keys()
            await self.database.run_read(self.rules)
        return self._rules.paused(requester) if self._rules is not None else None

    async def sweep(self, is_alive: Callable[[str], Awaitable[bool]], *, older_than_s: float = 120) -> int:
        """Release holds whose job is gone, and extend those whose job lives. Returns how many were released.

        Checks only holds that were not made, polled or touched in the last `older_than_s`, so that running jobs, which
        are touched regularly, cost nothing.
        """
        now, h = self.clock.now(), t.holds.c
        quiet = h.expires_at <= now + self.settings.hold_ttl_s - older_than_s
        query = select(h.key, h.expires_at).where(t.IS_OPEN, quiet)
        gone, living = 0, []
        for key, expires_at in await self.database.rows(query.order_by(h.expires_at).limit(_MAX_SWEPT)):
            if await is_alive(key):
                living.append(key)
                continue
            release = partial(reserve.release, key=key, kind="expire" if expires_at <= now else "release")
            released = await self._call(HoldCall(key, release))
            gone += bool(released)
            log.warning("hold_without_job", job=key, given_back=bool(released))
        await self.touch(living)
        b = t.balances.c
        over = (b.ends_at < now - _BALANCES_KEPT_S) & (b.held_nanousd == 0) & (b.held_jobs == 0)
        await self.database.write(lambda connection: connection.execute(delete(t.balances).where(over)))
        return gone

    async def close(self) -> None:
        await self._batches.close()

    async def keys(self) -> CounterNames:
        """Return the counter names under this installation's salt, which the first process creates."""
        if self._keys is None:
            self._keys = CounterNames(await self.database.write(_salt))
        return self._keys

    _keys: CounterNames | None = None

    def rules(self, connection: Connection) -> Rules:
        """Return the current rules, read again only after a change."""
        assert self._keys is not None, "keys() comes first"
        version = rules_version(connection)
        now = self.clock.now()
        rules = self._rules  # a local copy, since the writer thread may replace it meanwhile
        if rules is None or rules.version != version or now >= rules.stale_at:
            rules = self._rules = load_rules(connection, version, self.settings.rules, self._keys, now)
        self._rules_at = time.monotonic()
        return rules

    def forget_rules(self) -> None:
        self._rules_at = float("-inf")

    async def _call(self, op: AdmitCall | HoldCall) -> object:
        if len(self._batches) >= _MAX_QUEUE:
            raise LedgerUnavailable
        try:
            return await self._batches.call(op)
        except (SQLAlchemyError, ArithmeticError) as error:  # a number that does not fit its column
            log.error("ledger_call_refused", job=op.key, kind=type(error).__name__)
            raise LedgerUnavailable from error

    async def _run(self, ops: Sequence[AdmitCall | HoldCall]) -> Sequence[object]:
        await self.keys()

        def work(connection: Connection) -> Sequence[object]:
            return run(connection, self._snapshot(self.rules(connection)), ops)

        return await self.database.write(work)

    def _snapshot(self, rules: Rules) -> LedgerSnapshot:
        now, zone = self.clock.now(), self.settings.zone
        return LedgerSnapshot(
            now=now,
            day=str(local_day(now, zone)),
            spans=tuple(span(window, now, zone) for window in Window),
            rules=rules,
            settings=self.settings,
        )


def _salt(connection: Connection) -> str:
    found = connection.scalar(select(t.meta.c.value).where(t.meta.c.key == _SALT))
    if found is None:
        found = secrets.token_hex(16)
        connection.execute(insert(t.meta), [{"key": _SALT, "value": found}, {"key": VERSION, "value": "0"}])
    return str(found)
