"""Access control and event streams."""
