"""Logs, metrics, traces, and alerts for the operator."""
