"""The certificate that api and console show: given ones, or one by a certificate authority for development."""

import ipaddress
import os
import ssl
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tillkeeper.base.clock import Clock
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.output import CliError
from tillkeeper.store.private import PrivateFileError, make_private

_CA_DAYS: Final = 3650
_DAYS: Final = 90
"""Days a development certificate lasts; at a start within the last third it is made anew."""
_BACKDATED: Final = timedelta(minutes=5)  # a browser whose clock is a little behind takes it too

_AUTHORITY: Final = "tls-authority.pem"

Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def server_context(chosen: Settings, clock: Clock) -> ssl.SSLContext | None:
    """What api and console serve with: TLS 1.2 or newer; None without TLS. Raises CliError."""
    if not chosen.tls:
        return None
    certificate, key = chosen.tls_certificate, chosen.tls_key
    if (certificate is None) != (key is None):
        raise CliError(
            "a certificate needs its key", "set both TILL_TLS_CERTIFICATE and TILL_TLS_KEY, or none"
        )
    try:
        if certificate is None or key is None:
            certificate, key = development_pair(chosen, clock)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
    except (OSError, PrivateFileError) as error:
        raise CliError(
            f"TLS cannot be offered: {error}", "TILL_TLS_CERTIFICATE and TILL_TLS_KEY name PEM files"
        ) from error
    return context


def development_pair(chosen: Settings, clock: Clock) -> tuple[Path, Path]:
    """Certificate and key of this host, by the development CA in the key folder, which is made at first use.

    Raises PrivateFileError.
    """
    folder = chosen.key_folder
    now = clock.now()
    authority = _read(make_private(folder / _AUTHORITY, lambda: _pem(_authority(now))))
    path = folder / "tls-development.pem"
    made = _read(make_private(path, lambda: _pem(_server(authority, chosen.host, now))))
    if _is_old(made[0], chosen.host, now) or made[0].issuer != authority[0].subject:
        draft = path.with_suffix(f".{os.getpid()}")
        make_private(draft, lambda: _pem(_server(authority, chosen.host, now)))
        draft.replace(path)
    public = folder / "tls-authority.crt"
    public.write_bytes(authority[0].public_bytes(serialization.Encoding.PEM))
    return path, path


def _is_old(certificate: x509.Certificate, host: str, now: datetime) -> bool:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return certificate.not_valid_after_utc - now < timedelta(days=_DAYS / 3) or _name(host) not in names


def _authority(now: datetime) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    # Each authority has a name of its own: browsers mix up two of one name.
    name = x509.Name(
        [
            x509.NameAttribute(
                NameOID.COMMON_NAME, f"Tillkeeper development CA {x509.random_serial_number():x}"[:64]
            )
        ]
    )
    builder = (
        _builder(name, name, key, now, _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return builder.sign(key, hashes.SHA256()), key


def _server(authority: Pair, host: str, now: datetime) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    names = list(dict.fromkeys([_name(host), _name("localhost"), _name("127.0.0.1"), _name("::1")]))
    issuer = authority[1].public_key()
    builder = (
        _builder(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])]),
            authority[0].subject,
            key,
            now,
            _DAYS,
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
    )
    return builder.sign(authority[1], hashes.SHA256()), key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(pair: Pair) -> bytes:
    certificate, key = pair
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read(pem: bytes) -> Pair:
    try:
        key = serialization.load_pem_private_key(pem, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return x509.load_pem_x509_certificate(pem), key
    except (ValueError, AssertionError) as error:
        raise PrivateFileError(
            f"a development certificate in the key folder cannot be read ({error}): delete tls-*.pem there"
        ) from error
