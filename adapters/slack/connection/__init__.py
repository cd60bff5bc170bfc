"""How events come in: Socket Mode or HTTP, draining, log redaction."""
