"""How events arrive: gateway or HTTP, rate limits, supervision."""
