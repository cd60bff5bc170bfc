"""One folder per chat platform; each translates between that platform and the core, and does nothing else."""
