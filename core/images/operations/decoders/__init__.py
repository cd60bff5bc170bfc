"""Decoders for formats that our build of libvips cannot read, or reads wrongly."""
