"""Draws what people read as Block Kit; nothing else makes a message."""
