"""An OpenID Connect provider on this machine, for tests: honest, unless a test tells it how to lie."""

import asyncio
import hashlib
import json
import secrets
import socket
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT, SECRET = "tillkeeper", "the client's secret"


@dataclass
class IdentityProvider:
    """Whoever comes is `who`. `lie` changes the claims before they are signed; `header` and `key` how they are signed."""

    issuer: str = ""
    who: dict[str, Any] = field(default_factory=lambda: {"sub": "u-1"})
    lie: dict[str, Any] = field(default_factory=dict)
    published: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"
    key: RSAKey = field(default_factory=lambda: new_key("k1"))
    shown: list[RSAKey] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    broken: bool = False

    def authorize(self, query: dict[str, str]) -> str:
        """What a browser does there: it comes with our question and leaves with a code; the address it goes to."""
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        back = {"code": code, "state": query["state"], "iss": self.issuer}
        return f"{query['redirect_uri']}?{urlencode(back)}"

    def token(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """The answer to a code, once, for the client that asked and knows the verifier; None: refused."""
        query = self.codes.pop(form.get("code", ""), None)
        if query is None or b64decode(authorization.removeprefix("Basic ")).decode() != f"{CLIENT}:{SECRET}":
            return None
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if urlsafe_b64encode(digest).decode().rstrip("=") != query["code_challenge"]:
            return None
        if form["redirect_uri"] != query["redirect_uri"]:
            return None
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": query["nonce"]}
        claims |= self.who | self.lie
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.algorithm, "kid": self.key.kid}
        signed = jwt.encode(header, claims, self.key, algorithms=[self.algorithm])
        return {"access_token": "a", "token_type": "Bearer", "expires_in": 300, "id_token": signed}

    def answer(self, path: str, body: dict[str, str], query: dict[str, str], authorization: str) -> Any:
        """An answer of the provider: (status, JSON), or the address of a redirect."""
        self.asked.append(path)
        if self.broken:
            return 500, {"error": "away"}
        if path == "/.well-known/openid-configuration":
            found = {"issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
                     "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/keys"}  # fmt: skip
            return 200, found | self.published
        if path == "/keys":
            return 200, KeySet([*(self.shown or [self.key])]).as_dict(private=False)
        if path == "/authorize":
            return self.authorize(query)
        if path == "/token":
            made = self.token(body, authorization)
            return (200, made) if made else (400, {"error": "invalid_grant"})
        return 404, {}


def new_key(name: str) -> RSAKey:
    """A key to sign with."""
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig"})


@asynccontextmanager
async def provider() -> AsyncIterator[IdentityProvider]:
    """A provider on a free port of this machine."""
    made = IdentityProvider()
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        made.issuer = f"http://127.0.0.1:{bound.getsockname()[1]}"
        config = uvicorn.Config(
            _application(made), log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        serving = asyncio.ensure_future(server.serve(sockets=[bound]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield made
        server.should_exit = True
        await serving


def _application(made: IdentityProvider) -> Callable[..., Any]:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while (part := await receive())["type"] == "http.request":
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        answer = made.answer(
            scope["path"],
            _flat(body.decode()),
            _flat(scope["query_string"].decode()),
            headers.get("authorization", ""),
        )
        if isinstance(answer, str):
            start = {"status": 303, "headers": [(b"location", answer.encode())]}
            content = b""
        else:
            start = {"status": answer[0], "headers": [(b"content-type", b"application/json")]}
            content = json.dumps(answer[1]).encode()
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": content})

    return application


def _flat(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}
