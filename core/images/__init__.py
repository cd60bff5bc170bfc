"""Image processing in separate processes, so that no codec can crash or block the bot.

`service` is the interface. `pool` runs in the bot and talks to `worker` processes, which run `operations`.
"""
