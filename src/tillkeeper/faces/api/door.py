"""The door: who is calling, may they, and have we heard this before. Refused here costs almost nothing."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import Request
from litestar.di import NamedDependency
from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send
from msgspec.structs import replace

from tillkeeper import access, audit
from tillkeeper.access import KeyRing, Principal
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.forbidden import forbidden
from tillkeeper.base.ids import BadIdError, from_typeid, to_typeid
from tillkeeper.base.money import currencies
from tillkeeper.base.results import Refusal, Refused, refuse
from tillkeeper.base.settings import Settings
from tillkeeper.faces.api.problems import tell
from tillkeeper.parties import Lookups
from tillkeeper.payments import Till, problem
from tillkeeper.risk import RiskEngine
from tillkeeper.store import Answer, Key, Store, Tx, idempotency, is_transient
from tillkeeper.vault import Vault

Web = Request[Any, Any, Any]
_Act = Callable[[Tx, datetime], Awaitable[Answer]]
_Same = Callable[[Tx, Answer], Awaitable[bool]]

_GUARDED: Final = ("/v1/", "/metrics")


class Counter(msgspec.Struct, frozen=True, eq=False):
    """What the handlers work with."""

    store: Store
    clock: Clock
    settings: Settings
    till: Till
    engine: RiskEngine
    keys: KeyRing
    vault: Vault
    lookups: Lookups = msgspec.field(default_factory=Lookups)


TheCounter = NamedDependency[Counter]


class Door:
    """Authenticates every call under /v1/, and of /metrics, before anything of it is read."""

    def __init__(self, app: ASGIApp, keys: KeyRing, tally: audit.Tally) -> None:
        self._app = app
        self._keys = keys
        self._tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and scope["path"].startswith(_GUARDED):
            try:
                header = header_in(scope, b"authorization") or ""
                found = await self._keys.authenticate(header, address_of(scope))
            except Exception as error:
                if not is_transient(error):
                    raise
                found = Refusal("unavailable", "try again in a few seconds")
            if isinstance(found, Refusal):
                if found.code != "unavailable":
                    self._tally.note("unknown", "key.refused", found.code, address_of(scope))
                await tell(problem(found), send)
                return
            scope["principal"] = found  # type: ignore[typeddict-unknown-key]
        await self._app(scope, receive, send)


class Call(msgspec.Struct, frozen=True):
    """A call that was let in, whichever way it goes on: `what` is method and path, `key` the idempotency key as sent."""

    principal: Principal
    what: str
    key: str | None
    body: bytes
    address: str


async def call_of(request: Web) -> Call:
    """A call that goes the framework's way."""
    key = header_in(request.scope, b"idempotency-key")
    return Call(
        caller(request),
        f"{request.method} {request.scope['path']}",
        key,
        await request.body(),
        address_of(request.scope),
    )


def header_in(scope: HTTPScope, name: bytes) -> str | None:
    """A header's value as sent."""
    found = next((value for header, value in scope["headers"] if header == name), None)
    return None if found is None else found.decode("latin-1")


def address_of(scope: HTTPScope) -> str:
    """Where the call comes from, as the server saw it; what a proxy says counts only if wiring trusts that proxy."""
    return scope["client"][0] if scope["client"] else ""


def caller(request: Web) -> Principal:
    """Who is calling."""
    # The framework also takes other spellings of a path ("//v1/…"), which the door does not guard.
    found: Principal | None = request.scope.get("principal")  # type: ignore[assignment]
    if found is None:
        raise refuse("not_found", "see /openapi.json for what is here")
    return found


def by(request: Web) -> dict[str, str]:
    """Who acts and from where, for the audit trail."""
    return {"actor": caller(request).actor, "origin": address_of(request.scope)}


class Permits:
    """The one place that judges whether a key may do what a route is declared to do (`action=`).

    A refusal is noted in the audit trail; the same one of the same key once in REFUSED_AGAIN_SECONDS, so that a program
    gone wild does not fill it.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._noted: dict[tuple[UUID, str], float] = {}

    async def judge(self, request: Web) -> None:
        """Let a call pass, or refuse it (`forbidden`, naming the action)."""
        opt = request.route_handler.opt
        if opt.get("public") or request.method == HttpMethod.OPTIONS:
            return
        principal, action = caller(request), opt["action"]
        if not principal.may(action):
            await self._note(principal, action, request)
            scopes = {scope for _, scope in access.policies().permitting("Service", action)}
            raise refuse("forbidden", f"{action} needs a key with the scope {' or '.join(sorted(scopes))}")

    async def _note(self, principal: Principal, action: str, request: Web) -> None:
        place, now = (principal.key, action), self._clock.monotonic()
        if now - self._noted.get(place, -limits.REFUSED_AGAIN_SECONDS) < limits.REFUSED_AGAIN_SECONDS:
            return
        if len(self._noted) >= limits.KEY_CACHE_SIZE:
            self._noted.clear()
        self._noted[place] = now
        subject, what = to_typeid("key", principal.key), f"{action}: {request.method} {request.scope['path']}"
        async with self._store.tx("refused by policy") as tx:
            await audit.append(
                tx,
                principal.actor,
                "policy.refused",
                subject,
                what[: limits.MAX_TEXT],
                address_of(request.scope),
                "refused",
            )


async def key_of(request: Web, asked: bytes | None = None) -> Key | None:
    """The caller's idempotency key, if they sent one. `asked`: what stands for the body in its hash. Refuses as stored_key."""
    call = await call_of(request)
    if asked is not None:
        call = replace(call, body=asked)
    return None if call.key is None else stored_key(call)


def stored_key(call: Call) -> Key:
    """The caller's idempotency key with the hash of what is asked.

    Refuses its absence (`idempotency_key_missing`) and a key that cannot be stored (`idempotency_key_invalid`).
    """
    text = call.key
    if text is None:
        raise refuse("idempotency_key_missing", "send a random one with each new request", "Idempotency-Key")
    if not 1 <= len(text) <= limits.MAX_IDEMPOTENCY_KEY or not text.isascii() or not text.isprintable():
        detail = f"1 to {limits.MAX_IDEMPOTENCY_KEY} printable ASCII characters"
        raise refuse("idempotency_key_invalid", detail, "Idempotency-Key")
    if refusal := forbidden(text):
        raise refuse(refusal.code, "use a random key", "Idempotency-Key")
    asked = b"%b\n%b" % (call.what.encode(), call.body)
    return Key(call.principal.id, text, hashlib.sha256(asked).digest())


async def once(counter: Counter, key: Key | None, name: str, act: _Act, same: _Same | None = None) -> Answer:
    """Do what needs no turn in a transaction of its own; with a key, once. A refusal leaves the key free.

    `same`: whether what the stored answer is about is also what is asked now, where the key's hash does not say all.
    """
    try:
        return await _try_once(counter, key, name, act, same)
    except Exception as error:
        if key is None or not (isinstance(error, Refused) or idempotency.is_clash(error)):
            raise
    # It may be the same request, sent twice at once, that was in the way: then its answer is there by now.
    return await _try_once(counter, key, name, act, same)


async def _try_once(counter: Counter, key: Key | None, name: str, act: _Act, same: _Same | None) -> Answer:
    now = counter.clock.now()
    async with counter.store.tx(name) as tx:
        if key is None:
            return await act(tx, now)
        known = await idempotency.found(await idempotency.send(tx, [key]))
        if known:
            equal = known[0].input_hash == key.input_hash
            if not equal or (same is not None and not await same(tx, known[0].answer)):
                raise refuse("idempotency_key_reused", "use a new key for a new request", "Idempotency-Key")
            return known[0].answer
        answer = await act(tx, now)
        await idempotency.keep(tx, [key], [answer], now)
        return answer


def id_in(prefix: str, text: str, field: str) -> UUID:
    """An id in the input. Refuses other forms (`bad_id`)."""
    try:
        return from_typeid(prefix, text)
    except BadIdError as error:
        raise refuse("bad_id", str(error), field) from None


def checked_currency(code: str, field: str = "currency") -> str:
    """A currency in the input. Refuses what is none (`unknown_currency`)."""
    if code not in currencies():
        raise refuse("unknown_currency", f"{code} is not an ISO 4217 currency in use", field)
    return code


def storable(body: msgspec.Struct) -> None:
    """Refuse a body with a text that may not be stored (`card_number_refused`, `security_code_refused`), or cannot be.

    Every body that was decoded comes by here; fields that are checked by a rule of their own are not looked at.
    """
    own_rule = getattr(body, "OWN_RULE", ())
    for field in body.__struct_fields__:
        if field not in own_rule:
            _check(getattr(body, field), field)


def asked_text(text: str | None, field: str) -> str | None:
    """A text in a query. Refuses what could never have been stored, as `storable` does."""
    _check(text, field)
    return text


def _check(value: Any, field: str) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise refuse("invalid_value", "a text has no NUL character", field)
        if refusal := forbidden(value):
            raise refuse(refusal.code, refusal.detail, field)
    elif isinstance(value, list):
        for each in value:
            _check(each, field)
    elif isinstance(value, msgspec.Struct):
        storable(value)
