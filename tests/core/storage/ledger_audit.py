"""Verify the projection: recompute every balance from the entries and the open holds, and list the differences."""

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, select

from core.storage import tables_ledger as t
from core.storage.ledger.rules import NOW, balance_key
from core.storage.ledger.transaction import LedgerDatabase
from core.storage.ledger.unit_of_work import Balance


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A balance that does not follow from the entries."""

    key: str
    stored: Balance
    computed: Balance


async def audit(database: LedgerDatabase) -> list[Discrepancy]:
    """Return every discrepancy, by reading all entries. Deleted balances of old windows are not discrepancies."""
    return await database.write(_audit)


def _audit(connection: Connection) -> list[Discrepancy]:
    computed = _from_entries(connection)
    _add_slots(connection, computed)
    stored = {
        row.key: Balance(**{name: getattr(row, name) for name in asdict(Balance())})
        for row in connection.execute(select(t.balances))
    }
    found = []
    for key in sorted(computed.keys() | stored.keys()):
        have, want = stored.get(key), computed.get(key, Balance())
        if have is not None and have != want:
            found.append(Discrepancy(key, have, want))
        if have is None and (want.held_nanousd or want.held_jobs or want.running or want.waiting):
            found.append(Discrepancy(key, Balance(), want))
    return found


def _from_entries(connection: Connection) -> dict[str, Balance]:
    computed: dict[str, Balance] = {}
    places: dict[str, tuple[list[str], list[list[object]]]] = {}
    query = select(t.entries).where(t.entries.c.play.is_(False)).order_by(t.entries.c.id)
    for row in connection.execute(query):
        if row.kind == "hold":
            places[row.job_key] = (row.counters, row.windows)
        counters, windows = places[row.job_key]
        change = Balance(row.used_nanousd, row.held_nanousd, row.used_px, row.held_px, row.used_jobs, row.held_jobs)
        for counter in counters:
            for window, _ in windows:
                computed.setdefault(balance_key(counter, str(window)), Balance()).add(change)
    return computed


def _add_slots(connection: Connection, computed: dict[str, Balance]) -> None:
    query = select(t.holds.c.state, t.holds.c.slots).where(
        t.holds.c.state.in_(("waiting", "running")), t.holds.c.play.is_(False)
    )
    for state, slots in connection.execute(query):
        change = Balance(running=state == "running", waiting=state == "waiting")
        for counter in slots:
            computed.setdefault(balance_key(counter, NOW), Balance()).add(change)
