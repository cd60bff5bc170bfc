"""Draws what people read as HTML and JSON."""
