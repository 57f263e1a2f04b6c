"""A stand-in for the transit engine of HashiCorp Vault or OpenBao: the same HTTP API, on loopback, in a thread of its own."""

import json
import os
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = "s.stand-in"


class TransitEngine:
    """The keys, and the faults that a test plants. `asked`: method and path of every call."""

    def __init__(self) -> None:
        self.keys: dict[str, list[bytes]] = {}
        self.oldest: dict[str, int] = {}  # min_decryption_version
        self.sealed = False
        self.token = TOKEN
        self.asked: list[str] = []
        self.url = ""

    def answer(self, method: str, path: str, token: str | None, body: dict[str, str]) -> tuple[int, Any]:
        """Status and body, as the real engine answers."""
        self.asked.append(f"{method} {path}")
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if token != self.token:
            return 403, {"errors": ["permission denied"]}
        return self._route(method, path, body)

    def _route(self, method: str, path: str, body: dict[str, str]) -> tuple[int, Any]:
        match [method, *path.removeprefix("/v1/transit/").split("/")]:
            case ["GET", "keys", name]:
                return self._describe(name)
            case ["POST", "keys", name]:
                self.keys.setdefault(name, [os.urandom(32)])
                return self._describe(name)
            case ["POST", "keys", name, "rotate"] if name in self.keys:
                self.keys[name].append(os.urandom(32))
                return 204, None
            case ["POST", "encrypt", name]:
                return self._encrypt(name, body)
            case ["POST", "decrypt", name]:
                return self._decrypt(name, body)
        return 404, {"errors": []}

    def _describe(self, name: str) -> tuple[int, Any]:
        if name not in self.keys:
            return 404, {"errors": []}
        versions = {str(n + 1): 1700000000 for n in range(len(self.keys[name]))}
        return 200, {
            "data": {
                "name": name,
                "type": "aes256-gcm96",
                "keys": versions,
                "latest_version": len(versions),
                "min_decryption_version": self.oldest.get(name, 1),
                "exportable": False,
            }
        }

    def _encrypt(self, name: str, body: dict[str, str]) -> tuple[int, Any]:
        versions = self.keys.setdefault(name, [os.urandom(32)])  # the real one makes a missing key, too
        nonce = os.urandom(12)
        sealed = AESGCM(versions[-1]).encrypt(nonce, b64decode(body["plaintext"]), _data(body))
        text = f"vault:v{len(versions)}:{b64encode(nonce + sealed).decode()}"
        return 200, {"data": {"ciphertext": text, "key_version": len(versions)}}

    def _decrypt(self, name: str, body: dict[str, str]) -> tuple[int, Any]:
        if name not in self.keys:
            return 400, {"errors": ["encryption key not found"]}
        _, version, text = body["ciphertext"].split(":")
        number, raw = int(version[1:]), b64decode(text)
        if number < self.oldest.get(name, 1):
            return 400, {"errors": ["ciphertext or signature version is disallowed by policy (too old)"]}
        try:
            found = AESGCM(self.keys[name][number - 1]).decrypt(raw[:12], raw[12:], _data(body))
        except (InvalidTag, IndexError):
            return 400, {"errors": ["cipher: message authentication failed"]}
        return 200, {"data": {"plaintext": b64encode(found).decode()}}


def _data(body: dict[str, str]) -> bytes:
    return b64decode(body.get("associated_data", ""))


@contextmanager
def transit() -> Iterator[TransitEngine]:
    """The engine at `url`, mounted at transit, for the block."""
    engine = TransitEngine()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve({})

        def do_POST(self) -> None:
            self._serve(json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}"))

        def _serve(self, body: dict[str, str]) -> None:
            status, said = engine.answer(self.command, self.path, self.headers.get("x-vault-token"), body)
            data = b"" if said is None else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    engine.url = f"http://127.0.0.1:{server.server_port}/transit/till"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield engine
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
