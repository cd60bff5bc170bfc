"""Network helpers: downloads, the guard for links that people typed, retries, and checks of HTTP requests."""
