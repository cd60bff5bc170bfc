"""Fetching what other people host: the download itself and the guard for links that people typed."""
