"""Providers of the model behind the `Upscaler` port: fal (real money) and the sandbox (play money)."""
