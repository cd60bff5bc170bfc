"""How events come in: gateway or HTTP, rate limits, supervision."""
