"""What people set and ask about money: limits and how they are written, alerts, prices, reports.

Decides no spending; that is the ledger's (`core.storage.ledger`). `core.domain.limits` holds
the data that all of it shares.
"""
