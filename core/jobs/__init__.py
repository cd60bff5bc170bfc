"""A job's life: the service that accepts it, the steps that run it, and the tasks that maintain it."""
