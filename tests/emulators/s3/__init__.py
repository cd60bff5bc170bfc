"""A small, strict S3: SigV4 is checked, objects lie in a folder, large ones come in parts."""

from tests.emulators.s3.server import ACCESS_KEY, SECRET_KEY, S3Emulator

__all__ = ["ACCESS_KEY", "SECRET_KEY", "S3Emulator"]
