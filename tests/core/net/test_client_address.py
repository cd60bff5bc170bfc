"""The real client of a request behind trusted and untrusted proxies."""

import pytest

from core.net.client_address import TrustedProxies


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", ["1.2.3.4"], "203.0.113.9"),
        ("10.0.0.1", ["9.9.9.9, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["9.9.9.9", "203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8:1:2:3::4", [], "2001:db8:1:2::/64"),
        (None, ["1.2.3.4"], "unknown"),
    ],
)
def test_only_a_declared_proxy_is_believed_about_the_client(
    peer: str | None, forwarded: list[str], client: str
) -> None:
    assert TrustedProxies.of(["10.0.0.0/8"]).client(peer, forwarded) == client
