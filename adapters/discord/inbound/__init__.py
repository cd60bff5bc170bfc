"""Acknowledge, translate, call the service: commands, components, modals, messages."""
