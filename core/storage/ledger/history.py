"""Delete old history, and anonymize the rows of a member whose data are erased.

Of old history, jobs and holds are deleted, and entries are merged into one sum per day and member. Totals by day,
member and model never change; which jobs they came from is lost. It runs in small transactions, to block nobody.
"""

import secrets
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, delete, func, insert, select, update

from core.domain.identity import person_key
from core.domain.job import JobState, Requester
from core.ports import Clock
from core.storage import tables_ledger as t
from core.storage.ledger.rules import raise_version
from core.storage.ledger.transaction import LedgerDatabase
from core.storage.ledger.usage import changes_about, of_person
from core.storage.tables import jobs, upsert

_PAGE = 500
_MAX_PAGES = 200
"""In each hourly run: 100,000 entries, at two a job more than a million jobs a day."""

_PAUSE_S = 0.1
_FOLDED_TO = "folded_to"
_AMOUNTS = ("used_nanousd", "held_nanousd", "used_px", "held_px", "used_jobs", "held_jobs")
_CLOSED = ("settled", "released", "expired")
_STOPPABLE = [state.value for state in JobState if state is not JobState.SUCCEEDED]
"""States of jobs that somebody may have cancelled; jobs are found by state."""
_SET_META = upsert(t.meta, "key")
_GROUP_BY = ("day", "play", "platform", "workspace_id", "channel_id", "user_id", "sponsor_id", "model")
"""Entries that agree in these columns are merged: everything that reports group or filter by."""


async def fold_history(database: LedgerDatabase, clock: Clock, kept_s: float) -> None:
    """Fold what is older than `kept_s` seconds. The next call continues with what this one leaves."""
    before = clock.now() - kept_s
    over = delete(t.sponsors).where(t.sponsors.c.ends_at < before)  # a few rows a day, which nothing else deletes
    await database.write(lambda connection: connection.execute(over))
    for _ in range(_MAX_PAGES):
        if not await database.write(lambda connection: _page(connection, before)):
            break
        await clock.sleep(_PAUSE_S)


def _page(connection: Connection, before: float) -> int:
    """Fold one page; returns the number of deleted rows."""
    day = datetime.fromtimestamp(before, UTC).date().isoformat()
    j, h = jobs.c, t.holds.c
    ended = (j.created_at < before) & (j.finished_at < before) & j.images_deleted
    over = (h.day < day) & h.state.in_(_CLOSED)
    gone = _delete(connection, select(j.id).where(ended).order_by(j.created_at), j.id)
    gone += _delete(connection, select(h.seq).where(over).order_by(h.day), h.seq)
    return gone + _fold(connection, before)


def _delete(connection: Connection, which: Select[Any], key: Column[Any]) -> int:
    ids = (connection.scalars(which.limit(_PAGE))).all()
    if ids:
        connection.execute(delete(key.table).where(key.in_(ids)))
    return len(ids)


def _fold(connection: Connection, before: float) -> int:
    """Merge the next page of entries, by id after the last page, into their sums."""
    e = t.entries.c
    folded_to = connection.scalar(select(t.meta.c.value).where(t.meta.c.key == _FOLDED_TO))
    query = select(t.entries).where(e.id > int(folded_to or 0)).order_by(e.id).limit(_PAGE)
    page = list(takewhile(lambda row: row.at < before, connection.execute(query)))
    if not page:
        return 0
    old = [row for row in page if row.kind != "sum"]
    connection.execute(delete(t.entries).where(e.id.in_([row.id for row in old])))
    sums: defaultdict[tuple[Any, ...], list[Row[Any]]] = defaultdict(list)
    for row in old:
        sums[tuple(getattr(row, column) for column in _GROUP_BY)].append(row)
    for rows in sums.values():
        _add(connection, rows)
    connection.execute(_SET_META[connection.dialect.name], {"key": _FOLDED_TO, "value": str(page[-1].id)})
    return len(old) or 1


def _add(connection: Connection, rows: Sequence[Row[Any]]) -> None:
    e, first = t.entries.c, rows[0]
    same = {column: getattr(first, column) for column in _GROUP_BY}
    amounts = {column: sum(getattr(row, column) for row in rows) for column in _AMOUNTS}
    there = [e[column] == value for column, value in same.items()]
    more = {column: e[column] + amount for column, amount in amounts.items()}
    changed = connection.execute(update(t.entries).where(e.kind == "sum", *there).values(more))
    if not changed.rowcount:
        key = {"job_key": secrets.token_hex(12), "step": "sum", "kind": "sum", "at": first.at, "held_at": first.held_at}
        gone = {"user_name": first.user_name, "roles": [], "counters": [], "windows": [], "note": ""}
        connection.execute(insert(t.entries).values(**key, **same, **amounts, **gone))


async def forget_member(database: LedgerDatabase, who: Requester) -> int:
    """Replace this person in all rows by one random name, irreversibly. Returns the number of entries.

    Open holds keep their person until they are settled: limits are found by it, and they end within hours. Counters
    contain only a keyed hash of the person, so today's limits still apply. A limit that was set for the person stays:
    erasure lifts no ban.
    """
    alias = f"erased:{secrets.token_hex(8)}"
    gone = {"user_id": alias, "user_name": ""}

    def work(connection: Connection) -> int:
        closed = t.holds.c.state.in_(_CLOSED)
        connection.execute(update(t.holds).where(of_person(t.holds, who), closed).values(**gone, roles=[]))
        changed = connection.execute(update(t.entries).where(of_person(t.entries, who)).values(**gone, roles=[]))
        if connection.execute(delete(t.extras).where(of_person(t.extras, who))).rowcount:
            raise_version(connection)
        platform, team, user_id = person_key(who)
        stopped = jobs.c.state.in_(_STOPPABLE) & (jobs.c.cancel_requested_by == f"{platform}:{user_id}")
        stopped = stopped & (jobs.c.workspace_id == team) if team else stopped
        connection.execute(update(jobs).where(stopped).values(cancel_requested_by=f"{platform}:{alias}"))
        own_changes = of_person(t.changes, who, "actor_id")
        connection.execute(update(t.changes).where(own_changes).values(actor_id=alias, actor_name=""))
        subject = func.replace(t.changes.c.subject, f"user {who.user_id}", f"user {alias}")
        connection.execute(update(t.changes).where(changes_about(who)).values(subject=subject))
        for table in (t.limits, t.sponsors, t.extras, t.alert_channels):
            connection.execute(update(table).where(of_person(table, who, "set_by")).values(set_by=alias))
        paused = t.pauses.c.place.startswith(f"{platform}:{team}", autoescape=True) & (t.pauses.c.set_by == who.user_id)
        connection.execute(update(t.pauses).where(paused).values(set_by=alias))
        return changed.rowcount

    return await database.write(work)
