"""Pixel work. Runs inside a worker process only; knows no jobs, money, chat or network."""
