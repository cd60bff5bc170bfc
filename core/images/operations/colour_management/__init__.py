"""What a file's numbers mean as sRGB: profiles, primaries, curves, and the conversion of samples."""
