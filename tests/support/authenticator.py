"""An authenticator in software: makes passkeys and answers with them, as a browser hands it on; or wrongly, when told to."""

import hashlib
import json
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

_PRESENT, _VERIFIED, _ATTESTED = 0x01, 0x04, 0x40


@dataclass
class Authenticator:
    """One device with one passkey. `uses` is its count; None: it does not count and says 0."""

    origin: str
    uses: int | None = None
    verifies: bool = True
    id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    user: str = ""

    def enrol(self, options: str, **wrong: Any) -> str:
        """The answer to a question for a new passkey."""
        asked = json.loads(options)
        self.user = asked["user"]["id"]
        numbers = self.key.public_key().public_numbers()
        public = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        attested = bytes(16) + len(self.id).to_bytes(2) + self.id + cbor2.dumps(public)
        data = self._data(wrong.get("host", asked["rp"]["id"]), _ATTESTED) + attested
        response = {
            "clientDataJSON": _text(self._client("webauthn.create", asked["challenge"], wrong)),
            "attestationObject": _text(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})),
        }
        return self._answer(response)

    def answer(self, options: str, **wrong: Any) -> str:
        """The answer to a question for a passkey that is known."""
        asked = json.loads(options)
        if self.uses is not None:
            self.uses += 1
        data = self._data(wrong.get("host", asked["rpId"]), 0)
        client = self._client("webauthn.get", asked["challenge"], wrong)
        signed = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": _text(client),
            "authenticatorData": _text(data),
            "signature": _text(wrong.get("signature", signed)),
            "userHandle": wrong.get("user", self.user),
        }
        return self._answer(response)

    def _data(self, host: str, more: int) -> bytes:
        flags = _PRESENT | (_VERIFIED if self.verifies else 0) | more
        return hashlib.sha256(host.encode()).digest() + bytes([flags]) + (self.uses or 0).to_bytes(4)

    def _client(self, kind: str, challenge: str, wrong: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(said | wrong.get("client", {})).encode()

    def _answer(self, response: dict[str, Any]) -> str:
        me = _text(self.id)
        return json.dumps(
            {"id": me, "rawId": me, "type": "public-key", "clientExtensionResults": {}, "response": response}
        )


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
