"""The ledger on SQLite and PostgreSQL: append-only entries, holds, and balances that follow from them.

`sql.py` is the door; `reserve.py` and `operations.py` are the decisions; the rest reads and writes rows.
"""

from core.storage.ledger.sql import SqlLedger
from core.storage.ledger.transaction import LedgerDatabase
from core.storage.ledger.unit_of_work import LedgerSettings

__all__ = ["LedgerDatabase", "LedgerSettings", "SqlLedger"]
