"""Acknowledge, translate, call the service: commands, buttons, forms, messages."""
