"""Root keys that never leave a key service: the transit engine of HashiCorp Vault or OpenBao, over its HTTP API.

Asked only when a process starts and when keys are rotated, so payments do not wait for it.
"""

import ssl
from base64 import b64decode, b64encode
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from tillkeeper.base import limits
from tillkeeper.store.private import read_private
from tillkeeper.vault.errors import RootKeyError
from tillkeeper.vault.roots import Wrapped, told

_HERE: Final = {"127.0.0.1", "::1", "localhost"}


class TransitRoot:
    """A key of a transit engine; `url` as in https://vault.example:8200/transit/till: mount and name of the key.

    `token`: the private file with a token that may encrypt, decrypt and rotate it.
    """

    def __init__(self, url: str, token: Path) -> None:
        parts = urlsplit(url)
        self._mount, _, self._key = parts.path.strip("/").rpartition("/")
        if parts.scheme not in {"http", "https"} or not self._mount or not self._key:
            raise RootKeyError(
                f"{url}: not like https://vault.example:8200/transit/till (mount and name of the key)"
            )
        if parts.scheme == "http" and parts.hostname not in _HERE:
            raise RootKeyError(f"{url}: keys would travel in the clear; use https")
        self._base = f"{parts.scheme}://{parts.netloc}/v1"
        self._token = token

    @property
    def name(self) -> str:
        """The key's address."""
        return f"key service {self._base.removesuffix('/v1')}/{self._mount}/{self._key}"

    async def make(self) -> None:
        """Make the key unless it is there."""
        if await self._call("GET", f"keys/{self._key}", none_is_fine=True) is None:
            await self._call("POST", f"keys/{self._key}", {"type": "aes256-gcm96"})

    async def wrap(self, secret: bytes, place: bytes) -> Wrapped:
        """By the service, with its newest version."""
        body = {"plaintext": _text(secret), "associated_data": _text(place)}
        answer = await self._call("POST", f"encrypt/{self._key}", body)
        ciphertext = str(answer["ciphertext"])
        return Wrapped(self._root_of(ciphertext.split(":")[1]), ciphertext.encode())

    async def unwrap(self, wrapped: Wrapped, place: bytes) -> bytes:
        """By the service."""
        if wrapped.root.rpartition(":")[0] != f"{self._mount}/{self._key}":
            raise RootKeyError(f"the class keys were wrapped by root key {wrapped.root}, not by {self.name}")
        body = {"ciphertext": wrapped.secret.decode(), "associated_data": _text(place)}
        answer = await self._call("POST", f"decrypt/{self._key}", body)
        return b64decode(answer["plaintext"])

    async def renew(self, used: Collection[str]) -> None:
        """Have the service make a new version."""
        answer = await self._call("GET", f"keys/{self._key}", none_is_fine=True)
        if answer is None:
            await self.make()
        elif self._root_of(f"v{answer['latest_version']}") in used:
            await self._call("POST", f"keys/{self._key}/rotate", {})

    async def retire(self) -> str:
        """The service keeps its older versions until it is told otherwise."""
        return (
            f"Backups of the database made before this need the older versions of {self._mount}/{self._key}. When those "
            "backups are gone, raise the key's min_decryption_version in the key service."
        )

    async def health(self) -> None:
        """The service answers, and lets us see the key."""
        await self._call("GET", f"keys/{self._key}")

    def _root_of(self, version: str) -> str:
        return f"{self._mount}/{self._key}:{version}"

    async def _call(
        self, method: str, path: str, body: dict[str, str] | None = None, *, none_is_fine: bool = False
    ) -> Any:
        """The `data` of an answer; None for 404 where that is an answer."""
        with told():
            token = read_private(self._token)
        if token is None:
            raise RootKeyError(f"{self.name} wants a token: put one into {self._token}, mode 0600")
        url = f"{self._base}/{self._mount}/{path}"
        try:
            headers = {"x-vault-token": token.decode().strip()}
            async with httpx.AsyncClient(
                timeout=limits.KEY_SERVICE_SECONDS, verify=ssl.create_default_context(), trust_env=False
            ) as client:
                answer = await client.request(method, url, json=body, headers=headers)
            if answer.status_code == httpx.codes.NOT_FOUND and none_is_fine:
                return None
            found = answer.json() if answer.content else {}
        except (httpx.HTTPError, ValueError) as error:
            raise RootKeyError(f"{self.name} cannot be asked: {error}") from error
        if answer.is_error:
            said = "; ".join(map(str, found.get("errors") or [])) or answer.reason_phrase
            raise RootKeyError(
                f"{self.name} says {answer.status_code} to {path.split('/', maxsplit=1)[0]}: {said}"
            )
        return found.get("data") or {}


def _text(data: bytes) -> str:
    return b64encode(data).decode()
