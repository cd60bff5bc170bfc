"""Doctor, invite links and the registration of commands."""
