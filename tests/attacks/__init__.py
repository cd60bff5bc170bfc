"""What strangers and members may try against a running bot, done to a real process: `python -m tests.attacks`."""
