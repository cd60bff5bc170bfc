"""Random and mutated input against everything that reads strangers' bytes; `make fuzz`."""
