"""Which addresses are counted as one."""

import pytest

from tillkeeper.access.entrance.throttle import neighbourhood


@pytest.mark.parametrize(
    ("origin", "counted_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_one_home_is_one_address(origin: str, counted_as: str) -> None:
    assert neighbourhood(origin) == counted_as
