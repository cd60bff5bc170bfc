"""Logs, metrics, and what the operator is told."""
