"""Short texts that are no sentences of a card: what commands do, what controls are called. Tables."""
