"""Read and write holds, balances and entries, many rows at a time. Decides nothing."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from typing import Any, cast

from sqlalchemy import ARRAY, BindParameter, Connection, Insert, Select, bindparam, func, insert, select, update

from core.domain.job import Requester
from core.storage import tables_ledger as t
from core.storage.ledger.unit_of_work import Balance, Hold, LedgerSnapshot, requester_columns
from core.storage.tables import upsert

_CHUNK = 5_000
"""Below both databases' limits on parameters in a statement (32,766 and 32,767)."""

_MAX_WAITING = 5_000
"""Waiting holds read for one decision; at most 20 wait per member."""

_AMOUNTS = tuple(field.name for field in fields(Balance))

# Built once: building a statement costs more than executing it.
_KEYS: BindParameter[Any] = bindparam("keys", expanding=True)
_HOLDS = select(t.holds).where(t.holds.c.key.in_(_KEYS))
_BALANCES = select(t.balances.c.key, *(t.balances.c[name] for name in _AMOUNTS)).where(t.balances.c.key.in_(_KEYS))
# If ordered by `seq`, SQLite would scan the whole table instead of using the index of waiting holds.
_WAITING = select(t.holds).where(t.IS_WAITING).order_by(t.holds.c.held_at).limit(_MAX_WAITING)
_WAITING_OF = _WAITING.where(t.holds.c.member.in_(bindparam("members", expanding=True)))
_TOUCH = update(t.holds).where(t.holds.c.key.in_(_KEYS), t.IS_OPEN).values(expires_at=bindparam("until"))
_PUT_HOLDS, _ADD_ENTRY = upsert(t.holds, "key"), insert(t.entries)
_ADD = upsert(t.balances, "key", adds=_AMOUNTS)
_ADDED = ("key", "ends_at", *_AMOUNTS)
_LISTS = select(*(func.unnest(bindparam(name, type_=ARRAY(t.balances.c[name].type))) for name in _ADDED))
_ADD_LISTS = cast(Insert, _ADD["postgresql"]).from_select(_ADDED, _LISTS)
"""All rows by one execution: PostgreSQL takes longer to begin one than to write a row."""


def read_holds(connection: Connection, keys: Collection[str]) -> dict[str, Hold]:
    found = (connection.execute(_HOLDS, {"keys": some}) for some in _chunks(sorted(keys)))
    return {row.key: hold_of(row) for rows in found for row in rows}


def holds_of(keys: Collection[str]) -> Iterable[Select[*tuple[Any, ...]]]:
    return (_HOLDS.params(keys=some) for some in _chunks(sorted(keys)))


def read_waiting(connection: Connection, members: Collection[str] | None) -> list[Hold]:
    """Return the oldest waiting holds, of these members or of all (None)."""
    if members is None:
        return [hold_of(row) for row in connection.execute(_WAITING)]
    return [hold_of(row) for row in connection.execute(_WAITING_OF, {"members": sorted(members)})]


def read_balances(connection: Connection, keys: Collection[str]) -> dict[str, Balance]:
    """Return a balance for every key; a missing row is zero."""
    found = {key: Balance() for key in keys}
    for some in _chunks(sorted(keys)):
        for key, *amounts in connection.execute(_BALANCES, {"keys": some}):
            found[key] = Balance(*amounts)
    return found


def write(connection: Connection, snapshot: LedgerSnapshot) -> None:
    if snapshot.changed:
        connection.execute(_PUT_HOLDS[connection.dialect.name], [_row(hold) for hold in snapshot.changed.values()])
    if snapshot.entries:
        connection.execute(_ADD_ENTRY, snapshot.entries)
    if snapshot.deltas:
        deltas = [
            {"key": key, "ends_at": snapshot.ends[key]} | {name: getattr(delta, name) for name in _AMOUNTS}
            for key, delta in sorted(snapshot.deltas.items())
        ]
        if connection.dialect.name == "postgresql":
            connection.execute(_ADD_LISTS, {name: [one[name] for one in deltas] for name in _ADDED})
        else:
            connection.execute(_ADD["sqlite"], deltas)
    for some in _chunks(sorted(snapshot.touched)):
        connection.execute(_TOUCH, {"keys": some, "until": snapshot.now + snapshot.settings.hold_ttl_s})


_SAME_FIELDS = tuple(
    field.name for field in fields(Hold) if field.name not in {"requester", "seq", "counters", "slots", "windows"}
)


def _row(hold: Hold) -> dict[str, Any]:
    return {name: getattr(hold, name) for name in _SAME_FIELDS} | {
        **requester_columns(hold.requester),
        "roles": hold.requester.role_ids,
        "parent_channel_id": hold.requester.parent_channel_id,
        **{name: getattr(hold, name) for name in ("counters", "slots", "windows")},
    }


def hold_of(row: Any) -> Hold:
    return Hold(
        requester=Requester(
            **requester_columns(row), parent_channel_id=row.parent_channel_id, role_ids=tuple(row.roles)
        ),
        seq=row.seq,
        counters=tuple(row.counters),
        slots=tuple(row.slots),
        windows=tuple((str(name), ends_at) for name, ends_at in row.windows),
        **{name: getattr(row, name) for name in _SAME_FIELDS},
    )


def _chunks(keys: Sequence[str]) -> Iterable[Sequence[str]]:
    return (keys[start : start + _CHUNK] for start in range(0, len(keys), _CHUNK))
