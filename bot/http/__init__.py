"""The HTTP server: health, webhooks, signed links."""
