"""Limits, alerts, prices, usage reports and reconciliation. The ledger (`core.storage.ledger`) decides spending."""
