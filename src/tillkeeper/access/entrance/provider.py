"""Sign-in at the company's identity provider: OpenID Connect with PKCE, state and nonce.

The provider says who somebody is there; who that is here, and what they may, is ours to say: nobody becomes a person by
signing in, and no role comes from outside.
"""

import hmac
import logging
import secrets
import warnings
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock

with warnings.catch_warnings():
    from authlib.common.errors import AuthlibBaseError
    from authlib.deprecate import AuthlibDeprecationWarning

    # It would rather have httpx2. To a provider both speak the same, and the house has one HTTP client.
    warnings.simplefilter("ignore", AuthlibDeprecationWarning)
    from authlib.integrations.httpx_client import AsyncOAuth2Client

log = logging.getLogger(__name__)

_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519")
_LEEWAY: Final = 60  # seconds that the provider's clock may be off
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SECRET_BYTES: Final = 32


class ProviderError(Exception):
    """The provider could not be asked, or did not vouch for anybody. The message is for the log and holds no values."""


class Asked(msgspec.Struct, frozen=True):
    """What must come back from the provider, or be known only to us."""

    state: str
    nonce: str
    verifier: str
    back: str  # the address on our side where the browser comes back to


class Claims(msgspec.Struct, frozen=True):
    """Who the provider says it is. `email` only if the provider has verified it."""

    issuer: str
    subject: str
    email: str | None


class _Known(msgspec.Struct):
    """What the provider published: its addresses and keys, read at `read_at` (monotonic seconds)."""

    authorization: str
    token: str
    keys: KeySet
    read_at: float


class Provider:
    """An OpenID Connect provider, as the settings name it. Its addresses and keys are found by discovery."""

    def __init__(self, issuer: str, client_id: str, secret: str | None, clock: Clock) -> None:
        self.issuer = issuer
        self._client_id = client_id
        self._secret = secret
        self._clock = clock
        self._known: _Known | None = None

    @property
    def name(self) -> str:
        """What people call it: its host."""
        return urlsplit(self.issuer).hostname or self.issuer

    async def ask(self, back: str) -> tuple[str, Asked]:
        """The address to send a browser to, and what to expect of its return. Raises ProviderError."""
        known = await self._read()
        state, nonce, verifier = (secrets.token_urlsafe(_SECRET_BYTES) for _ in range(3))
        asked = Asked(state, nonce, verifier, back)
        async with self._client(back) as client:
            url, _ = client.create_authorization_url(
                known.authorization, state=asked.state, nonce=asked.nonce, code_verifier=asked.verifier
            )
        return str(url), asked

    async def answer(self, asked: Asked, given: Mapping[str, str]) -> Claims:
        """Who came back, from the query that the browser brought. Raises ProviderError."""
        if not hmac.compare_digest(given.get("state", "").encode(), asked.state.encode()):
            raise ProviderError("the state is not ours")
        if given.get("iss", self.issuer) != self.issuer:
            raise ProviderError("another provider answered")
        if not given.get("code"):
            raise ProviderError("no code came back")
        known = await self._read()
        try:
            async with self._client(asked.back) as client:
                token = await client.fetch_token(
                    known.token,
                    grant_type="authorization_code",
                    code=given["code"],
                    code_verifier=asked.verifier,
                )
            claims = await self._verified(str(token["id_token"]), asked.nonce)
        except (httpx.HTTPError, AuthlibBaseError, JoseError, ValueError, KeyError, TypeError) as error:
            raise ProviderError(f"the code was not good for an id token: {type(error).__name__}") from error
        email = claims.get("email") if claims.get("email_verified") is True else None
        return Claims(self.issuer, str(claims["sub"]), str(email) if email else None)

    async def _verified(self, token: str, nonce: str) -> dict[str, Any]:
        """The claims of an id token that this provider signed for us, now, as the answer to this question."""
        try:
            claims = jwt.decode(token, (await self._read()).keys, algorithms=_ALGORITHMS).claims
        except InvalidKeyIdError:  # the provider has new keys
            claims = jwt.decode(token, (await self._read(anew=True)).keys, algorithms=_ALGORITHMS).claims
        jwt.JWTClaimsRegistry(
            now=int(self._clock.now().timestamp()),
            leeway=_LEEWAY,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self._client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        ).validate(claims)
        if (
            isinstance(claims["aud"], list)
            and len(claims["aud"]) > 1
            and claims.get("azp") != self._client_id
        ):
            raise ValueError("made for another client too")
        return claims

    async def _read(self, *, anew: bool = False) -> _Known:
        now = self._clock.monotonic()
        known = self._known
        if known is None or anew or now - known.read_at >= limits.PROVIDER_REFRESH_SECONDS:
            known = self._known = await self._discover(now)
        return known

    async def _discover(self, now: float) -> _Known:
        try:
            async with self._client("") as client:
                address = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
                found = (await client.request("GET", address, withhold_token=True)).raise_for_status().json()
                if found["issuer"] != self.issuer:
                    raise ProviderError("it calls itself otherwise: is TILL_OIDC_ISSUER written as it does?")
                urls = [
                    _safe(str(found[name]))
                    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")
                ]
                keys = (await client.request("GET", urls[2], withhold_token=True)).raise_for_status().json()
            return _Known(urls[0], urls[1], KeySet.import_key_set(keys), now)
        except (httpx.HTTPError, JoseError, ValueError, KeyError, TypeError) as error:
            raise ProviderError(f"{self.name} cannot be asked: {type(error).__name__}") from error

    def _client(self, back: str) -> Any:
        return AsyncOAuth2Client(
            client_id=self._client_id,
            client_secret=self._secret,
            token_endpoint_auth_method="client_secret_basic" if self._secret else "none",
            scope="openid email",
            redirect_uri=back,
            code_challenge_method="S256",
            timeout=limits.PROVIDER_SECONDS,
        )


def _safe(url: str) -> str:
    """An address that may be asked: by TLS, or on this machine. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("not https")
    return url
