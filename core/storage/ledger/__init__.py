"""The ledger on SQLite and PostgreSQL: append-only entries, holds, and balances derived from them.

`sql.py` is the interface; `reserve.py` and `operations.py` decide; the other modules read and write rows.
"""

from core.storage.ledger.sql import SqlLedger
from core.storage.ledger.transaction import LedgerDatabase
from core.storage.ledger.unit_of_work import LedgerSettings

__all__ = ["LedgerDatabase", "LedgerSettings", "SqlLedger"]
