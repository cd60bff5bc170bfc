"""The parameters of a request: names, ranges, labels, and how people write them."""
