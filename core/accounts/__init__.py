"""A person's saved defaults, history, export and erasure."""
