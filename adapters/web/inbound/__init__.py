"""Translate a request, call the service: jobs, account, limits."""
