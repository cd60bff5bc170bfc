"""Chaos: members ask on every platform while processes are killed, frozen and restarted and every service misbehaves.

`python -m tests.chaos --seconds 600` (or `make chaos`) runs it and prints the table of promises; `test_chaos` is the
short form. The processes are real; Discord, Slack and fal are the emulators.
"""
