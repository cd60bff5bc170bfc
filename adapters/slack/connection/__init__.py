"""Receiving events by Socket Mode or HTTP, draining, log redaction."""
