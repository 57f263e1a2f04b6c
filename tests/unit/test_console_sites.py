"""The names under which the console answers."""

import pytest

from tillkeeper.access.entrance import Site
from tillkeeper.faces.console.sites import Sites


@pytest.mark.parametrize(
    ("scheme", "host", "site"),
    [
        ("http", "localhost:8081", Site("http://localhost:8081", "localhost")),
        ("http", "LocalHost:9000", Site("http://localhost:9000", "localhost")),
        ("https", "localhost", Site("https://localhost", "localhost")),
        ("https", "localhost:443", Site("https://localhost", "localhost")),
        ("http", "127.0.0.1:8081", Site("http://127.0.0.1:8081", "127.0.0.1")),
        ("http", "[::1]:8081", Site("http://[::1]:8081", "::1")),
        ("http", "192.0.2.7:8081", Site("http://192.0.2.7:8081", "192.0.2.7")),
        ("http", "evil.example", None),
        ("http", "evil.example:8081", None),
        ("http", "localhost.evil.example", None),
        ("http", "localhost@evil.example", None),
        ("http", "evil.example@localhost", None),
        ("http", "localhost/evil.example", None),
        ("http", "localhost:x", None),
        ("http", "localhost:99999", None),
        ("http", "local host", None),
        ("http", "[", None),
        ("http", "", None),
    ],
)
def test_without_a_setting_the_machines_own_names(scheme: str, host: str, site: Site | None) -> None:
    assert Sites(None, "192.0.2.7").find(scheme, host) == site


@pytest.mark.parametrize(
    ("scheme", "host", "good"),
    [
        ("https", "till.example", True),
        ("http", "till.example", True),  # TLS ended before us
        ("http", "till.example:443", True),
        ("http", "TILL.example", True),
        ("https", "till.example:8443", False),
        ("https", "localhost", False),
        ("https", "www.till.example", False),
    ],
)
def test_with_one_only_that(scheme: str, host: str, good: bool) -> None:  # noqa: FBT001 - a table
    site = Site("https://till.example", "till.example")
    assert Sites("https://till.example").find(scheme, host) == (site if good else None)
    assert Sites("https://till.example:443/").find(scheme, host) == (site if good else None)


def test_with_a_port_only_there() -> None:
    sites = Sites("http://till.example:8443")
    assert sites.find("http", "till.example:8443") == Site("http://till.example:8443", "till.example")
    assert sites.find("http", "till.example") is None


@pytest.mark.parametrize(
    ("url", "promised"),
    [
        ("https://till.example", True),
        ("http://till.example", False),
        ("https://localhost:8081", False),
        (None, False),
    ],
)
def test_tls_is_promised_only_where_the_settings_do(url: str | None, promised: bool) -> None:  # noqa: FBT001 - a table
    assert bool(Sites(url).headers) is promised
