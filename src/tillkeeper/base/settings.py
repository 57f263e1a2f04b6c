"""The few settings, from the environment or one TOML file, read once by wiring."""

import os
import re
import tomllib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from tillkeeper.base.limits import FOUR_EYES_AMOUNT


class SettingsError(ValueError):
    """A setting that cannot be used. The message names the setting, where it came from, and the remedy."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be chosen. Each is read from `TILL_<NAME>` or from the key `name` in the file `TILL_CONFIG`."""

    home: Path = Path(".till")
    """Folder of the embedded database, its logs and sockets."""
    keys: Path | None = None
    """Folder of the key files, mode 0700, never inside `home`; unset: beside it (`.till-keys`)."""
    root_key: str = "file"
    """Where the root key is: `file` (root.key in `keys`), `split:<path>,<path>` (two custodians), `transit:<url>`."""
    database_url: str | None = None
    """A PostgreSQL >= 16 of your own; unset: the embedded one under `home`."""
    admin_database_url: str | None = None
    """The role that owns the schema and migrates; unset: `database_url`."""
    host: str = "127.0.0.1"
    api_port: int = 8080
    console_port: int = 8081
    status_port: int = 8082
    tls: bool = False
    """Serve api and console by TLS; `till serve --tls` and `till up --tls` do it for once."""
    tls_certificate: Path | None = None
    """PEM file: the certificate and those between it and its authority; unset: one by a development CA of our own."""
    tls_key: Path | None = None
    """PEM file: the certificate's private key."""
    console_url: str | None = None
    """Where browsers reach the console, as in https://console.example; unset: http://localhost and the port."""
    oidc_issuer: str | None = None
    """An OpenID Connect provider that vouches for people, as it calls itself; unset: nobody does."""
    oidc_client_id: str | None = None
    oidc_client_secret: str | None = None
    oidc_client_secret_file: Path | None = None
    """The secret in a file of its own, mode 0600, in place of the above."""
    timezone: str = "Asia/Shanghai"
    """The business time zone (IANA name): where a customer's day ends."""
    rules_file: Path | None = None
    """Risk rules; unset: those that come with the package."""
    default_fee_bps: int = 60
    """Platform fee of a new merchant, hundredths of a percent."""
    default_daily_limit: int | None = 5_000_000
    """What may leave a new customer's wallet in a day, minor units."""
    four_eyes_amount: int = FOUR_EYES_AMOUNT
    """From so much on a release of a held payment, a refund or a withdrawal takes a second person; minor units."""
    trusted_proxies: str = ""
    """Addresses of proxies before us, separated by commas, whose X-Forwarded-For counts; unset: nobody's."""
    audit_anchors: str = ""
    """Where else the audit trail is anchored, separated by spaces: `postgresql://…`, `dir:FOLDER`; always: a file beside the key."""
    backups: str = ""
    """Where backups go: a folder, or `s3://bucket/prefix`; unset: a folder beside `home` (`.till-backups`)."""
    backups_endpoint: str | None = None
    """Address of an S3-compatible store that is not Amazon's."""
    backups_region: str = "us-east-1"
    backups_access_key: str | None = None
    backups_secret_file: Path | None = None
    """The secret access key of the store in a file of its own, mode 0600."""
    alert_channels: Path | None = None
    """File, mode 0600, with one Apprise address a line for alerts, as in `mailto://…`; unset: console only."""
    objectives_file: Path | None = None
    """Objectives and alert rules; unset: those that come with the package."""
    calendar_file: Path | None = None
    """Maintenance calendar: windows, holidays, pay days, cut-offs; unset: the one that comes with the package."""
    commands: str = ""
    """Programs that steps of maintenance may run, absolute paths separated by spaces; unset: none."""
    allow_private_webhooks: bool = False
    """Deliver webhooks to loopback and private addresses (tests, demo)."""

    def __post_init__(self) -> None:
        """Refuse what would fail later and less plainly."""
        if self.console_url is not None and not _ADDRESS.fullmatch(self.console_url):
            raise ValueError(
                f"console_url: {self.console_url} is no address like https://console.example:8443"
            )
        if (self.oidc_issuer is None) != (self.oidc_client_id is None):
            raise ValueError("oidc_issuer and oidc_client_id are set together")

    @property
    def console_address(self) -> str:
        """Where people find the console. Passkeys need a name, so a loopback address goes by `localhost`."""
        if self.console_url is not None:
            return self.console_url.rstrip("/")
        host = "localhost" if self.host in _HERE else f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.console_port}"

    @property
    def key_folder(self) -> Path:
        """Where the key files are: whoever copies the data folder must not get the keys with it."""
        return self.keys or self.home.with_name(f"{self.home.name}-keys")

    @property
    def backup_place(self) -> str:
        """Where backups go; never inside `home`, which they are there to outlive."""
        return self.backups or str(self.home.with_name(f"{self.home.name}-backups"))


ENVIRONMENT_PREFIX: Final = "TILL_"
_ADDRESS: Final = re.compile(r"https?://[a-z0-9.\-]+(:\d{1,5})?/?")
_HERE: Final = frozenset({"127.0.0.1", "::1", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings as configured. Raises SettingsError naming the setting and its source."""
    found: dict[str, Any] = {}
    if path := environment.get("TILL_CONFIG"):
        try:
            found = tomllib.loads(Path(path).read_text("utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"TILL_CONFIG: cannot read {path}: {error}") from error
    for name in Settings.__struct_fields__:
        if (value := environment.get(ENVIRONMENT_PREFIX + name.upper())) not in (None, ""):
            found[name] = value
    try:
        return msgspec.convert(found, Settings, strict=False, dec_hook=_to_path)
    except msgspec.ValidationError as error:
        raise SettingsError(f"settings: {error} (set by TILL_<NAME> or in the file TILL_CONFIG)") from error


def fingerprint(chosen: Settings, name: str) -> str:
    """What tells two values of a setting apart without saying them; passwords do not count."""
    return sha256(shown(name, getattr(chosen, name)).encode()).hexdigest()[:12]


def shown(name: str, value: object) -> str:
    """A setting's value as people may see it."""
    if value is None:
        return "-"
    return "***" if name.endswith("secret") else masked(str(value))


def masked(text: str) -> str:
    """A text without the passwords of addresses in it."""
    return re.sub(r"(?<=:)[^:@/]+(?=@)", "***", re.sub(r"(?<=password=)[^\s&]+", "***", text))


def _to_path(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind)
