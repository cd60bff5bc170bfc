"""Durable workflows (DBOS), which processes are alive, and taking over the work of one that died."""
