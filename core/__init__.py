"""The service: everything the bot does that is not a chat platform's business.

Nothing in here knows Discord, Slack, a web page, or the environment; see ARCHITECTURE.md for the rooms.
"""
