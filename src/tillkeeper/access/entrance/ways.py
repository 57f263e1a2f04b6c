"""The ways in: a one-time link, a passkey, password and code, the company's identity provider. Each opens a new session.

No password is hashed while a transaction is open, and nobody learns from an answer, or from how long it takes, whether a
name is known.
"""

import logging
from collections.abc import Mapping

import msgspec

from tillkeeper import audit
from tillkeeper.access.entrance import ceremonies, passkeys, recovery, throttle, totp
from tillkeeper.access.entrance.passkeys import Question, Site
from tillkeeper.access.entrance.passwords import Hasher, weakness
from tillkeeper.access.entrance.provider import Asked, Claims, Provider, ProviderError
from tillkeeper.access.entrance.totp import Keeper
from tillkeeper.access.sessions import begin_session, confirm_session, open_session
from tillkeeper.access.types import OpenedSession, Person, Session, Visitor
from tillkeeper.base.clock import Clock
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.store import Store, Tx, queries

log = logging.getLogger(__name__)
_sql = queries(__package__, "queries.sql")

NOBODY = "nobody"  # whom the audit trail names when somebody failed who may be anybody
_PROVIDER = "provider"
_FAILED = Refusal("sign_in_failed")


class Errand(msgspec.Struct, frozen=True):
    """What somebody left for the identity provider for, to be remembered until they are back."""

    asked: Asked
    next: str


class Entrance:
    """Lets people in. `keeper` keeps the secrets of authenticator apps; `provider` vouches for people, if there is one."""

    def __init__(self, store: Store, clock: Clock, keeper: Keeper, provider: Provider | None = None) -> None:
        self.provider = provider
        self.keeper = keeper
        self._store, self._clock = store, clock
        self._hasher = Hasher()

    def close(self) -> None:
        """Stop hashing."""
        self._hasher.close()

    # -- a link

    async def by_link(self, token: str, visitor: Visitor) -> OpenedSession | Refusal:
        """Use a one-time link. Gives link_used."""
        async with self._store.tx("sign in by link") as tx:
            opened = await open_session(tx, token, self._clock, visitor)
            if isinstance(opened, Refusal):
                await self._strange(tx, "link", visitor)
            return opened

    # -- a passkey

    async def ask_passkey(self, site: Site, visitor: Visitor) -> Question | Refusal:
        """The question for whoever is there. Gives too_many_tries."""
        async with self._store.tx("ask for a passkey") as tx:
            return await passkeys.ask(tx, site, self._clock, origin=visitor.origin)

    async def by_passkey(
        self, token: str, answer: str, site: Site, visitor: Visitor
    ) -> OpenedSession | Refusal:
        """Let in whose passkey answered. Gives sign_in_failed."""
        async with self._store.tx("sign in by passkey") as tx:
            person = await passkeys.prove(tx, token, answer, site, self._clock, origin=visitor.origin)
            if person is None:
                await self._strange(tx, "passkey", visitor)
                return _FAILED
            return await begin_session(tx, person, "passkey", self._clock, visitor, confirmed=True)

    # -- a password with a code

    async def by_password(
        self, name: str, password: str, code: str, visitor: Visitor
    ) -> OpenedSession | Refusal:
        """Let in who knows the password and has the code: of the authenticator, or a recovery code.

        A recovery code alone lets in who has no password; whoever came by one is asked for a factor before they may do
        what needs a fresh one. Gives sign_in_failed, too_many_tries, sign_in_busy.
        """
        name = name.strip().lower()
        if self._hasher.full:
            return Refusal("sign_in_busy")
        async with self._store.tx("sign in by password") as tx:
            if await self._too_many(tx, visitor, name):
                return Refusal("too_many_tries")
            kept: str | None = await tx.value(_sql.find_password, {"person": name})
        try:
            right = await self._hasher.check(kept, password)
        except Refused as busy:
            async with self._store.tx("sign-in not tried") as tx:
                await self._not_made(tx, visitor, name)
            return busy.refusal
        renewed = await self._renewed(kept, password) if kept and right else None
        async with self._store.tx("sign in by code") as tx:
            way = await self._way(tx, name, code, right=right, no_password=kept is None)
            if way is None:
                await _failed(tx, name, "password", visitor)
                return _FAILED
            await self._proved(tx, visitor, name)
            if renewed is not None:
                await tx.run(_sql.rehash_password, {"person": name, "old": kept, "hash": renewed})
            return await begin_session(tx, name, way, self._clock, visitor, confirmed=way == "password")

    async def _way(self, tx: Tx, person: str, code: str, *, right: bool, no_password: bool) -> str | None:
        """The way in that a code opens: "password" with one of the authenticator, "recovery" with one of the drawer."""
        if right and await totp.check(tx, self.keeper, person, code, self._clock):
            return "password"
        # Asked in vain too, so that the time it takes tells nothing.
        if not await recovery.use(tx, person, code if right or no_password else "", self._clock):
            return None
        await audit.append(tx, person, "recovery.used", person)
        return "recovery"

    async def _renewed(self, kept: str, password: str) -> str | None:
        """The hash with the parameters of today, where the kept one is old. It can wait: a busy hasher skips it."""
        try:
            return await self._hasher.hash(password) if self._hasher.is_old(kept) else None
        except Refused:
            return None

    async def set_password(self, person: Person, password: str, visitor: Visitor) -> Refusal | None:
        """Give a person who is signed in and fresh a password. Gives weak_password (its detail: why), sign_in_busy."""
        if why := weakness(password, person.person, person.name):
            return Refusal("weak_password", why)
        try:
            hashed = await self._hasher.hash(password)
        except Refused as busy:
            return busy.refusal
        async with self._store.tx("set password") as tx:
            await tx.run(
                _sql.set_password, {"person": person.person, "hash": hashed, "at": self._clock.now()}
            )
            await audit.append(tx, person.person, "factor.added", person.person, "password", visitor.origin)
        return None

    # -- the identity provider

    async def ask_provider(
        self, back: str, next_path: str, visitor: Visitor, person: str | None = None
    ) -> tuple[str, str] | Refusal:
        """Where to send the browser, and the token of its errand. `person`: who is signed in and wants to be known there.

        Gives provider_failed, too_many_tries.
        """
        assert self.provider is not None
        try:
            url, asked = await self.provider.ask(back)
        except ProviderError as error:
            log.warning("sign-in at %s: %s", self.provider.name, error)
            return Refusal("provider_failed")
        errand = msgspec.json.encode(Errand(asked, next_path))
        async with self._store.tx("send to the provider") as tx:
            origin = None if person else visitor.origin
            token = await ceremonies.begin(tx, _PROVIDER, errand, self._clock, person=person, origin=origin)
        return token if isinstance(token, Refusal) else (url, token)

    async def by_provider(
        self, token: str, given: Mapping[str, str], visitor: Visitor
    ) -> tuple[OpenedSession, str] | Refusal:
        """Let in for whom the provider vouches; with the path to go on to. Gives provider_failed, sign_in_failed."""
        assert self.provider is not None
        async with self._store.tx("back from the provider") as tx:
            ceremony = await ceremonies.take(tx, _PROVIDER, token, self._clock, origin=visitor.origin)
        if ceremony is None:
            return Refusal("provider_failed")
        errand = msgspec.json.decode(ceremony.asked, type=Errand)
        try:
            claims = await self.provider.answer(errand.asked, given)
        except ProviderError as error:
            log.warning("sign-in at %s: %s", self.provider.name, error)
            async with self._store.tx("sign-in at the provider failed") as tx:
                await self._strange(tx, _PROVIDER, visitor)
            return Refusal("provider_failed")
        async with self._store.tx("sign in by provider") as tx:
            person = await self._known_as(tx, claims, ceremony.person, visitor)
            if person is None:
                await self._strange(tx, _PROVIDER, visitor)
                return _FAILED
            opened = await begin_session(tx, person, _PROVIDER, self._clock, visitor, confirmed=False)
        return opened if isinstance(opened, Refusal) else (opened, errand.next)

    async def _known_as(self, tx: Tx, claims: Claims, wanted: str | None, visitor: Visitor) -> str | None:
        """Who a subject of the provider is here; bound at first sight to who is signed in, or whose handle is its e-mail.

        None for a subject of nobody, and for one that is bound to another than `wanted`.
        """
        subject = {"issuer": claims.issuer, "subject": claims.subject}
        known: str | None = await tx.value(_sql.find_identity, subject)
        if known is not None:
            return known if wanted in {None, known} else None
        handle = wanted or (claims.email or "").lower()
        bound: str | None = await tx.value(
            _sql.bind_identity, subject | {"person": handle, "at": self._clock.now()}
        )
        if bound is not None:
            await audit.append(tx, bound, "factor.added", bound, _PROVIDER, visitor.origin)
        return bound

    # -- somebody who is signed in proves themselves again

    async def confirm_by_code(self, session: Session, code: str, visitor: Visitor) -> Refusal | None:
        """Take a code of the authenticator as a fresh second factor. Gives sign_in_failed, too_many_tries."""
        async with self._store.tx("confirm by code") as tx:
            if await self._too_many(tx, visitor, session.person, throttle.OF_SIGNED_IN):
                return Refusal("too_many_tries")
            if not await totp.check(tx, self.keeper, session.person, code, self._clock):
                await _failed(tx, session.person, "confirm", visitor)
                return _FAILED
            await self._proved(tx, visitor, session.person, throttle.OF_SIGNED_IN)
            await self._confirmed(tx, session, "authenticator", visitor)
        return None

    async def confirm_by_passkey(
        self, session: Session, token: str, answer: str, site: Site, visitor: Visitor
    ) -> Refusal | None:
        """Take one of the person's passkeys as a fresh second factor. Gives sign_in_failed."""
        async with self._store.tx("confirm by passkey") as tx:
            person = await passkeys.prove(tx, token, answer, site, self._clock, person=session.person)
            if person is None:
                await _failed(tx, session.person, "confirm", visitor)
                return _FAILED
            await self._confirmed(tx, session, "passkey", visitor)
        return None

    async def _confirmed(self, tx: Tx, session: Session, by: str, visitor: Visitor) -> None:
        await confirm_session(tx, session.id, self._clock)
        await audit.append(tx, session.person, "session.confirmed", session.person, by, visitor.origin)

    # -- tries

    async def _too_many(
        self, tx: Tx, visitor: Visitor, name: str, of: throttle.Count = throttle.OF_PERSON
    ) -> bool:
        """Count a guess before it is made. Too many of an address or at a name: this one is not made."""
        address = throttle.neighbourhood(visitor.origin)
        if await throttle.count(tx, throttle.OF_ADDRESS, address, self._clock) is None:
            return True
        counted = await throttle.count(tx, of, name, self._clock)
        if counted == of.most:
            await _failed(tx, name, "the last try for now", visitor)
        return counted is None

    async def _not_made(self, tx: Tx, visitor: Visitor, name: str) -> None:
        """The guess that was counted was not made."""
        await throttle.uncount(tx, throttle.OF_ADDRESS, throttle.neighbourhood(visitor.origin))
        await throttle.uncount(tx, throttle.OF_PERSON, name)

    async def _proved(
        self, tx: Tx, visitor: Visitor, name: str, of: throttle.Count = throttle.OF_PERSON
    ) -> None:
        """It was no guess. What was tried at this name before counts no more."""
        await throttle.uncount(tx, throttle.OF_ADDRESS, throttle.neighbourhood(visitor.origin))
        await throttle.forgive(tx, of, name)

    async def _strange(self, tx: Tx, way: str, visitor: Visitor) -> None:
        """Somebody failed where nobody can guess: no door is shut for it, but only so many are written down."""
        address = throttle.neighbourhood(visitor.origin)
        if await throttle.count(tx, throttle.OF_ADDRESS, address, self._clock) is not None:
            await _failed(tx, None, way, visitor)


async def _failed(tx: Tx, name: str | None, way: str, visitor: Visitor) -> None:
    """Write down a sign-in that failed. A name that is nobody's is not written: people type passwords there."""
    known = name is not None and await tx.value(_sql.passkey_user, {"person": name}) is not None
    subject = name if known and name is not None else NOBODY
    await audit.append(tx, NOBODY, "session.failed", subject, way, visitor.origin, "failed")
