"""Draws what people read as Components V2; nothing else makes a message."""
