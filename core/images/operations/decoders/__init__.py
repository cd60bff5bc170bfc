"""Readers of kinds that libvips cannot read in our build."""
