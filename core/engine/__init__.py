"""Which part of which job is under way where, which processes are alive, and taking over the work of a dead one."""
