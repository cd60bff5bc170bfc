"""Conversion to sRGB: profiles, primaries, transfer curves and sample formats."""
