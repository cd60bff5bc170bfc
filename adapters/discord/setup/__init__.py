"""Doctor, invite links, owner look-up and command registration."""
