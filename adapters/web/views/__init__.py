"""Draws cards, jobs and pages as HTML and JSON."""
