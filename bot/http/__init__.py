"""The one HTTP server: health, webhooks, signed links."""
