"""Passkeys (WebAuthn): what the person has (the device) and what they know or are (its PIN, a finger) in one press.

They are discoverable: nobody types a name to sign in. An authenticator's own count of uses says 0 for ever where a passkey
lives in several devices, so 0 is never held against it.
"""

import ipaddress
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import webauthn
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from tillkeeper import audit
from tillkeeper.access.entrance import ceremonies
from tillkeeper.access.types import Person
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.results import Refusal
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")

_CHALLENGE_BYTES: Final = 32
_ENROL: Final = "passkey.enrol"
_PROVE: Final = "passkey.prove"
# What a made-up answer can break in the library before it has a name for it.
_BROKEN: Final = (
    WebAuthnException,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
)


class Site(msgspec.Struct, frozen=True):
    """The console as a browser sees it: `origin` as in "https://console.example:8443", `host` the name in it."""

    origin: str
    host: str

    @property
    def takes_passkeys(self) -> bool:
        """Whether browsers allow passkeys here: they are bound to a name, never to a bare address."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return True
        return False


class Passkey(msgspec.Struct, frozen=True):
    """A passkey as its person sees it."""

    id: bytes
    name: str
    created_at: datetime
    used_at: datetime | None


class Question(msgspec.Struct, frozen=True):
    """What a browser asks the authenticator: `options` as JSON; `token` goes with it as a cookie."""

    options: str
    token: str


async def list_passkeys(tx: Tx, person: str) -> list[Passkey]:
    """A person's passkeys, the oldest first."""
    rows = await tx.tuples(_sql.list_passkeys, {"person": person})
    return [Passkey(bytes(row[0]), *row[1:]) for row in rows]


async def ask_to_enrol(tx: Tx, person: Person, site: Site, clock: Clock) -> Question | Refusal:
    """Begin to enrol a passkey; devices that hold one of this person offer themselves no second time."""
    held = await list_passkeys(tx, person.person)
    if len(held) >= limits.PASSKEYS:
        return Refusal("too_many_passkeys", "remove one first")
    challenge = secrets.token_bytes(_CHALLENGE_BYTES)
    options = webauthn.generate_registration_options(
        rp_id=site.host,
        rp_name="Tillkeeper",
        user_id=bytes(await tx.value(_sql.passkey_user, {"person": person.person})),
        user_name=person.person,
        user_display_name=person.name,
        challenge=challenge,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=_descriptors(held),
    )
    token = await ceremonies.begin(tx, _ENROL, challenge, clock, person=person.person)
    return token if isinstance(token, Refusal) else Question(webauthn.options_to_json(options), token)


async def enrol(
    tx: Tx, person: str, token: str, answer: str, name: str, site: Site, clock: Clock, *, origin: str
) -> Refusal | None:
    """Take a new passkey. Gives passkey_refused when the answer is not to our question, or is known already."""
    asked = await ceremonies.take(tx, _ENROL, token, clock)
    if asked is None or asked.person != person:
        return Refusal("passkey_refused", "it took too long: try again")
    try:
        made = webauthn.verify_registration_response(
            credential=answer,
            expected_challenge=asked.asked,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except _BROKEN:
        return Refusal("passkey_refused")
    row = {
        "id": made.credential_id,
        "person": person,
        "name": name,
        "public_key": made.credential_public_key,
        "uses": made.sign_count,
        "at": clock.now(),
    }
    if await tx.value(_sql.add_passkey, row) is None:
        return Refusal("passkey_refused")
    await audit.append(tx, person, "factor.added", person, "passkey", origin)
    return None


async def ask(
    tx: Tx, site: Site, clock: Clock, *, person: str | None = None, origin: str | None = None
) -> Question | Refusal:
    """Ask for a passkey: any, of whoever it is (from the address `origin`), or one of a person who is signed in."""
    challenge = secrets.token_bytes(_CHALLENGE_BYTES)
    held = await list_passkeys(tx, person) if person else []
    options = webauthn.generate_authentication_options(
        rp_id=site.host,
        challenge=challenge,
        allow_credentials=_descriptors(held),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    token = await ceremonies.begin(tx, _PROVE, challenge, clock, person=person, origin=origin)
    return token if isinstance(token, Refusal) else Question(webauthn.options_to_json(options), token)


async def prove(
    tx: Tx,
    token: str,
    answer: str,
    site: Site,
    clock: Clock,
    *,
    person: str | None = None,
    origin: str | None = None,
) -> str | None:
    """Whose passkey answered our question; None for any other answer, and when it is not `person`'s."""
    asked = await ceremonies.take(tx, _PROVE, token, clock, origin=origin)
    if asked is None or asked.person != person:
        return None
    try:
        credential: dict[str, Any] = msgspec.json.decode(answer, type=dict[str, Any])
        row = await tx.row(_sql.find_passkey, {"id": webauthn.base64url_to_bytes(credential["id"])})
        if row is None or person not in {None, row.person}:
            return None
        handle = credential["response"].get("userHandle")
        if handle is not None and webauthn.base64url_to_bytes(handle) != bytes(row.passkey_user):
            return None
        shown = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=asked.asked,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=bytes(row.public_key),
            credential_current_sign_count=0,  # we look at it ourselves, below
            require_user_verification=True,
        )
    except _BROKEN:
        return None
    if 0 < shown.new_sign_count <= row.uses:
        await audit.append(
            tx, row.person, "passkey.copied", row.person, origin=origin or "", result="refused"
        )
        return None
    await tx.run(
        _sql.use_passkey, {"id": shown.credential_id, "uses": shown.new_sign_count, "at": clock.now()}
    )
    return str(row.person)


async def remove(tx: Tx, person: str, passkey: bytes, *, origin: str) -> bool:
    """Forget one passkey of a person; False when it is none."""
    if await tx.value(_sql.remove_passkey, {"id": passkey, "person": person}) is None:
        return False
    await audit.append(tx, person, "factor.removed", person, "passkey", origin)
    return True


def _descriptors(held: Sequence[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=each.id) for each in held]
