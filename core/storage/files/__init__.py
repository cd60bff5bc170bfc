"""Storage of pictures: on this machine and, if configured, in an object store that every replica reads."""
