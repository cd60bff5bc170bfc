"""Backends behind the `Upscaler` port: fal (real money), the sandbox and the local model (play money)."""
