"""Draws cards as Components V2; nothing else builds a message."""
