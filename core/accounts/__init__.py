"""Members' saved defaults, export and erasure, and the allowlist."""
