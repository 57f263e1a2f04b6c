"""TLS: given certificates, or those of a development CA, and how the way to the database is judged."""

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from tillkeeper.base.clock import SystemClock
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.certificates import development_pair, server_context
from tillkeeper.faces.cli.doctor import local_findings
from tillkeeper.faces.cli.output import CliError
from tillkeeper.store.transport import guarded, transport_of


class Later(SystemClock):
    """A clock so many days ahead."""

    def __init__(self, days: int) -> None:
        self._ahead = timedelta(days=days)

    def now(self):  # type: ignore[no-untyped-def]
        return super().now() + self._ahead


def settings(tmp_path: Path, **other: object) -> Settings:
    return Settings(home=tmp_path / "home", tls=True, **other)  # type: ignore[arg-type]


def shown(pair: tuple[Path, Path]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair[0].read_bytes())


def test_a_development_certificate_is_kept_until_it_is_old(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    first = shown(development_pair(chosen, SystemClock()))
    assert shown(development_pair(chosen, Later(59))) == first
    second = shown(development_pair(chosen, Later(61)))
    assert second != first
    assert second.issuer == first.issuer  # whoever trusts the authority need not do it again
    assert [oct(file.stat().st_mode & 0o777) for file in sorted(chosen.key_folder.glob("*.pem"))] == [
        "0o600"
    ] * 2
    public = (chosen.key_folder / "tls-authority.crt").read_bytes()
    assert b"PRIVATE" not in public
    second.verify_directly_issued_by(x509.load_pem_x509_certificate(public))


def test_another_host_gets_a_certificate_with_its_name(tmp_path: Path) -> None:
    development_pair(settings(tmp_path), SystemClock())
    names = shown(development_pair(settings(tmp_path, host="till.example"), SystemClock())).extensions
    alternative = names.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "till.example" in alternative.get_values_for_type(x509.DNSName)


def test_old_protocols_are_refused(tmp_path: Path) -> None:
    context = server_context(settings(tmp_path), SystemClock())
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert server_context(Settings(home=tmp_path), SystemClock()) is None


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="needs its key"):
        server_context(settings(tmp_path, tls_certificate=tmp_path / "a.pem"), SystemClock())
    with pytest.raises(CliError, match="TLS cannot be offered"):
        server_context(
            settings(tmp_path, tls_certificate=tmp_path / "a", tls_key=tmp_path / "b"), SystemClock()
        )
    folder = settings(tmp_path).key_folder
    development_pair(settings(tmp_path), SystemClock())
    (folder / "tls-development.pem").write_bytes(b"half a fi")
    with pytest.raises(CliError, match=r"delete tls-\*\.pem"):
        server_context(settings(tmp_path), SystemClock())


@pytest.mark.parametrize(
    ("url", "judged"),
    [
        ("postgresql:///till?host=/tmp/sockets", "local"),
        ("postgresql://till@localhost/till", "local"),
        ("postgresql://till@127.0.0.1:5433/till", "local"),
        ("postgresql://till@[::1]/till", "local"),
        ("postgresql://till@db.example/till", "open"),
        ("postgresql://till@db.example/till?sslmode=require", "open"),
        ("postgresql://till@localhost,db.example/till", "open"),
        ("postgresql://till@db.example/till?sslmode=verify-full", "verified"),
        ("host=localhost hostaddr=203.0.113.7 dbname=till", "open"),
    ],
)
def test_the_way_to_the_database_is_judged(url: str, judged: str) -> None:
    assert transport_of(url) == judged


def test_a_remote_database_must_prove_who_it_is() -> None:
    assert transport_of(guarded("postgresql://till:x@db.example/till")) == "verified"
    chosen = "postgresql://till@db.example/till?sslmode=require"
    assert guarded(chosen) == chosen
    assert guarded("postgresql:///till?host=/tmp/s") == "postgresql:///till?host=/tmp/s"


@pytest.mark.parametrize(
    ("other", "state"),
    [
        ({"tls": False}, "notice"),
        ({"tls": False, "host": "0.0.0.0"}, "wrong"),
        ({"host": "0.0.0.0"}, "notice"),
        ({"tls_certificate": Path("a.pem"), "tls_key": Path("a.key")}, "fine"),
    ],
)
def test_the_doctor_says_what_is_not_encrypted(tmp_path: Path, other: dict[str, object], state: str) -> None:
    chosen = Settings(home=tmp_path / "home", **({"tls": True} | other))  # type: ignore[arg-type]
    found = {finding.name: finding for finding in local_findings(chosen)}
    assert found["transport to api and console"].state == state
    assert found["transport to the database"].state == "fine"


def test_the_doctor_names_a_database_that_need_not_prove_who_it_is(tmp_path: Path) -> None:
    chosen = Settings(home=tmp_path, database_url="postgresql://till@db.example/till?sslmode=require")
    found = {finding.name: finding for finding in local_findings(chosen)}
    assert found["transport to the database"].state == "wrong"
