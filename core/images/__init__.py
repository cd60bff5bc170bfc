"""Pixel work, done in processes of its own so that no codec can hurt the bot.

`pool` runs in the bot and talks to `worker` processes; everything else in this package runs inside a worker.
Nothing outside `core.images.service` needs to import from here. Nothing in here knows jobs, money, chat or the network.
"""
