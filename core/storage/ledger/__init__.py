"""The ledger on SQLite and PostgreSQL: append-only entries, holds, and balances that follow from them.

`sql.py` is the door; `reserve.py` and `admission.py` are the decisions; the rest reads and writes rows.
"""

from core.storage.ledger.sql import LedgerSettings, SqlLedger
from core.storage.ledger.transaction import LedgerDatabase

__all__ = ["LedgerDatabase", "LedgerSettings", "SqlLedger"]
