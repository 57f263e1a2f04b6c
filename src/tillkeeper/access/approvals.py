"""Four eyes: a deed waits until a second person has agreed to exactly that deed.

An approval is bound to a SHA-256 over the deed's name, its terms, and the state of the world that they stand on. It is
asked for early, ends by itself, is given by somebody else who has the right to, and serves once. What changed in between
was not agreed to. A package that has deeds of this kind writes a `Deed` for each and registers it (wiring); nothing else.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from tillkeeper import audit
from tillkeeper.access import policy
from tillkeeper.access.sessions import is_fresh
from tillkeeper.access.types import Approval, Asker, Session
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.store import Store, Tx, queries

_sql = queries(__package__, "approvals.sql")

COUNTED: Final = 99  # of what waits, for the badge


@dataclass(frozen=True, slots=True)
class Deed:
    """One kind of deed that takes four eyes. `name`: a noun.verb, which the policies of approval.decide speak of.

    `terms`: the type of what will happen, the first of them saying to what; ids and figures, never personal data, as it is kept and shown. An `amount`
    stands beside its `currency`; a `person` is one of the team whose rights it is about, and who cannot decide.
    `present`: what the terms stand on now: any value; a Refusal if the deed cannot be done at all. When it changes, the
    approval is void.
    `carry_out`: does the deed as soon as it is agreed to; None: whoever asked goes on themselves (see `claim`). It may be
    called again after a crash and must then do nothing twice (`approval.id` is a key for that).
    """

    name: str
    terms: type[msgspec.Struct]
    present: Callable[[Tx, Any], Awaitable[Any]]
    carry_out: Callable[[Tx, Approval, Any], Awaitable[Refusal | None]] | None = None


Deeds = Mapping[str, Deed]
"""The registry: every kind of deed by its name."""


def deeds(*kinds: Deed) -> Deeds:
    """A registry."""
    return {each.name: each for each in kinds}


def asker(session: Session, origin: str = "") -> Asker:
    """A signed-in person who asks."""
    return Asker(session.person, None, origin)


def approval_id(approval: Approval) -> str:
    """An approval's public id."""
    return to_typeid("apr", approval.id)


def thing(approval: Approval) -> policy.Thing:
    """An approval, as policies see it."""
    facts: dict[str, Any] = {"deed": approval.deed}
    if approval.principal is None:
        facts["asked_by"] = policy.person_fact(approval.asked_by)
    if isinstance(about := msgspec.json.decode(approval.terms).get("person"), str):
        facts["about"] = policy.person_fact(about)
    return policy.Thing("Approval", str(approval.id), facts)


def digest_of(deed: str, terms: Any, present: Any) -> bytes:
    """What an approval is bound to: SHA-256 over JSON with sorted keys."""
    return hashlib.sha256(msgspec.json.encode([deed, terms, present], order="sorted")).digest()


async def ask(
    tx: Tx, deed: Deed, terms: msgspec.Struct, who: Asker, clock: Clock, reason: str = ""
) -> Approval | Refusal:
    """Ask for a second person's agreement. The same question waits once, whoever asks it again.

    Gives what the deed's `present` refuses, and too_many_approvals.
    """
    present = await deed.present(tx, terms)
    if isinstance(present, Refusal):
        return present
    digest = digest_of(deed.name, terms, present)
    await _one_at_a_time(tx, digest)
    return await _ask(tx, deed, terms, digest, who, clock, reason)


async def claim(
    tx: Tx, deed: Deed, terms: msgspec.Struct, who: Asker, used_for: str, clock: Clock, reason: str = ""
) -> Approval | Refusal:
    """Use up the approval of exactly these terms for `used_for`, for ever; the same claim finds it again after a crash.

    Without one the question is asked, and the answer is approval_needed with its id. Gives also approval_refused, what
    the deed's `present` refuses, and too_many_approvals.
    """
    present = await deed.present(tx, terms)
    if isinstance(present, Refusal):
        return present
    now, digest = clock.now(), digest_of(deed.name, terms, present)
    await _one_at_a_time(tx, digest)
    asked = {"digest": digest, "principal": who.principal, "used_for": used_for, "at": now}
    found = [Approval(*row) for row in await tx.tuples(_sql.about, asked)]
    found = [each for each in found if each.asked_by == who.name or who.principal]
    if mine := _in_state(found, "used", used_for):
        return mine
    if given := _in_state(found, "given"):
        await _close(tx, given, "used", now, used_for=used_for, used_at=now)
        await audit.append(
            tx, who.name, "approval.used", approval_id(given), f"{deed.name} {used_for}", who.origin
        )
        return msgspec.structs.replace(given, state="used", used_at=now, used_for=used_for)
    if refused := _in_state(found, "refused"):
        by = f"{refused.decided_by} said no"
        return Refusal("approval_refused", by, approval=approval_id(refused))
    waiting = _in_state(found, "waiting") or await _ask(tx, deed, terms, digest, who, clock, reason)
    if isinstance(waiting, Refusal):
        return waiting
    public = approval_id(waiting)
    return Refusal("approval_needed", f"once {public} is given, send the same again", approval=public)


async def decide(
    tx: Tx,
    kinds: Deeds,
    approval: UUID,
    digest: bytes,
    session: Session,
    clock: Clock,
    *,
    give: bool,
    comment: str = "",
    origin: str = "",
) -> Approval | Refusal:
    """A person's answer: yes or no to what `digest` names, as the page showed it. Of several answers one counts.

    Refuses approval_unknown, approval_decided, approval_expired, approval_changed, own_approval, forbidden and
    not_fresh; refusals are values, so that the transaction commits what it noted of them.
    """
    now = clock.now()
    row = await tx.row(_sql.lock, {"id": approval})
    if row is None:
        return Refusal("approval_unknown", "check the id")
    found = Approval(*row)
    refusal = _objection(found, digest, session, clock)
    if refusal is None and give:
        refusal = await _if_changed(tx, kinds, found, now)
    if refusal is not None:
        said = f"approval.decide: {refusal.code}"
        await audit.append(tx, session.person, "policy.refused", approval_id(found), said, origin, "refused")
        return refusal
    state, expires_at = "refused", found.expires_at
    if give:
        state, expires_at = "given", min(expires_at, now + timedelta(seconds=limits.APPROVAL_USE_SECONDS))
    answered = msgspec.structs.replace(
        found,
        state=state,
        decided_by=session.person,
        decided_at=now,
        comment=comment,
        expires_at=expires_at,
    )
    await _answer(tx, answered, origin)
    return answered


async def carry_out(store: Store, kinds: Deeds, approval: UUID, clock: Clock) -> Approval | Refusal:
    """Do what was agreed to, if its kind is done at once; what was done before is not done again.

    Refuses approval_unknown, approval_decided (nothing given), approval_expired, approval_changed, and what the deed says.
    """
    async with store.tx("carry out") as tx:
        row = await tx.row(_sql.lock, {"id": approval})
        found = Approval(*row) if row else None
        deed = kinds.get(found.deed) if found else None
        if found is None or deed is None:
            return Refusal("approval_unknown", "check the id, and whether this process does such deeds")
        if found.state == "used" or (found.state == "given" and deed.carry_out is None):
            return found
        if found.state != "given":
            return Refusal("approval_decided", f"it is {found.state}")
        return await _do(tx, deed, found, clock.now())


async def _do(tx: Tx, deed: Deed, found: Approval, now: datetime) -> Approval | Refusal:
    """Do what was given; whatever comes of it, it serves no second time."""
    assert deed.carry_out is not None
    if found.expires_at <= now:
        await _close(tx, found, "expired", now)
        return Refusal("approval_expired", "ask again")
    by, public = found.decided_by or "", approval_id(found)
    failed = await deed.carry_out(tx, found, msgspec.json.decode(found.terms, type=deed.terms))
    if failed is not None:
        await _close(tx, found, "failed", now, outcome=failed.code)
        await audit.append(tx, by, "approval.failed", public, failed.code, result="failed")
        return failed
    await _close(tx, found, "used", now, used_at=now, used_for=public)
    await audit.append(tx, by, "approval.used", public, found.deed)
    return msgspec.structs.replace(found, state="used", used_at=now)


async def withdraw(
    tx: Tx, approval: UUID, session: Session, clock: Clock, *, origin: str = ""
) -> Approval | Refusal:
    """Take one's own question back. Refuses approval_unknown, approval_decided, forbidden."""
    row = await tx.row(_sql.lock, {"id": approval})
    if row is None:
        return Refusal("approval_unknown", "check the id")
    found = Approval(*row)
    if not policy.policies().judge(session, "approval.withdraw", thing(found)).allowed:
        return Refusal("forbidden", "approval.withdraw")
    if found.state != "waiting":
        return Refusal("approval_decided", f"it is {found.state}")
    taken = msgspec.structs.replace(
        found, state="withdrawn", decided_by=session.person, decided_at=clock.now()
    )
    await _answer(tx, taken, origin)
    return taken


async def void(tx: Tx, person: str, *, actor: str, origin: str = "") -> None:
    """End every question of a person that is not done yet: they are not trusted any more."""
    for (id_,) in await tx.tuples(_sql.void, {"person": person}):
        await audit.append(tx, actor, "approval.stale", to_typeid("apr", id_), f"asked by {person}", origin)


async def forget_late(tx: Tx, clock: Clock) -> None:
    """Note of what nobody answered or used in time that it is over; so what waits stays a short list."""
    await tx.run(_sql.forget_late, {"at": clock.now()})


async def find(tx: Tx, approval: UUID) -> Approval | None:
    """One approval."""
    row = await tx.row(_sql.find, {"id": approval})
    return Approval(*row) if row else None


async def open_about(tx: Tx, deed: str, subjects: Sequence[str], clock: Clock) -> dict[str, Approval]:
    """What waits for an answer or for being done, of one kind, by the things it is about."""
    params = {"deed": deed, "subjects": list(subjects), "at": clock.now()}
    found = [Approval(*row) for row in await tx.tuples(_sql.about_subjects, params)]
    return {each.subject: each for each in found}


async def about(tx: Tx, subject: str, limit: int) -> list[Approval]:
    """What was ever asked about a thing, by its public id, the newest first."""
    return [Approval(*row) for row in await tx.tuples(_sql.of_subject, {"subject": subject, "limit": limit})]


async def open_ones(tx: Tx, clock: Clock, after: UUID | None, limit: int) -> list[Approval]:
    """What waits for an answer or for being done, the longest first."""
    rows = await tx.tuples(_sql.open, {"at": clock.now(), "after": after, "limit": limit})
    return [Approval(*row) for row in rows]


async def past_ones(tx: Tx, clock: Clock, before: UUID | None, limit: int) -> list[Approval]:
    """What was answered or came to nothing, the newest first."""
    rows = await tx.tuples(_sql.past, {"at": clock.now(), "before": before, "limit": limit})
    return [Approval(*row) for row in rows]


async def count_open(tx: Tx, clock: Clock) -> int:
    """How many wait for an answer, up to COUNTED + 1."""
    return int(await tx.value(_sql.count_open, {"at": clock.now(), "limit": COUNTED + 1}))


def _objection(found: Approval, digest: bytes, session: Session, clock: Clock) -> Refusal | None:
    """Why this person cannot answer this question now."""
    if found.state != "waiting":
        return Refusal("approval_decided", f"it is {found.state}")
    if found.expires_at <= clock.now():
        return Refusal("approval_expired", "it must be asked again")
    return _unfit(found, session, clock) or _other(digest, found)


def _unfit(found: Approval, session: Session, clock: Clock) -> Refusal | None:
    if found.principal is None and found.asked_by == session.person:
        return Refusal("own_approval", "another person must decide")
    if not policy.policies().judge(session, "approval.decide", thing(found)).allowed:
        return Refusal("forbidden", f"no policy lets you decide about {found.deed}")
    return None if is_fresh(session, clock) else Refusal("not_fresh", "confirm that it is you")


def _other(digest: bytes, found: Approval) -> Refusal | None:
    return None if digest == found.digest else Refusal("approval_changed", "look at it again")


async def _if_changed(tx: Tx, kinds: Deeds, found: Approval, now: datetime) -> Refusal | None:
    """Refuse if the deed would no longer be what was asked about; the question is over then."""
    if (deed := kinds.get(found.deed)) is None:
        return Refusal("approval_unknown", f"nobody does {found.deed} here")
    terms = msgspec.json.decode(found.terms, type=deed.terms)
    present = await deed.present(tx, terms)
    if not isinstance(present, Refusal) and digest_of(deed.name, terms, present) == found.digest:
        return None
    await _close(tx, found, "stale", now)
    return Refusal(
        "approval_changed", "it stands on something that has changed since; it must be asked again"
    )


async def _one_at_a_time(tx: Tx, digest: bytes) -> None:
    await tx.run(_sql.one_at_a_time, {"lock": int.from_bytes(digest[:8], signed=True)})


async def _ask(
    tx: Tx, deed: Deed, terms: msgspec.Struct, digest: bytes, who: Asker, clock: Clock, reason: str
) -> Approval | Refusal:
    now = clock.now()
    await tx.run(_sql.forget_waiting, {"digest": digest, "at": now})
    mine = {"asked_by": who.name, "principal": who.principal, "at": now}
    if await tx.value(_sql.count_waiting, mine) >= limits.APPROVALS_WAITING:
        return Refusal("too_many_approvals", "have some of those that wait decided first")
    asked = {
        **mine,
        "id": new_id(),
        "deed": deed.name,
        "subject": str(getattr(terms, terms.__struct_fields__[0])),
        "terms": msgspec.json.encode(terms, order="sorted").decode(),
        "digest": digest,
        "reason": reason,
        "origin": who.origin,
        "expires_at": now + timedelta(seconds=limits.APPROVAL_SECONDS),
    }
    made = await tx.value(_sql.ask, asked)
    about = {"digest": digest, "principal": who.principal, "used_for": "", "at": now}
    found = _in_state([Approval(*row) for row in await tx.tuples(_sql.about, about)], "waiting")
    if found is None:  # answered by somebody in the very moment
        return Refusal("approval_decided", "look again")
    if made is not None:
        await audit.append(
            tx, who.name, "approval.asked", approval_id(found), f"{deed.name} {reason}".strip(), who.origin
        )
    return found


async def _answer(tx: Tx, answered: Approval, origin: str) -> None:
    await tx.run(
        _sql.decide,
        {
            "id": answered.id,
            "state": answered.state,
            "decided_by": answered.decided_by,
            "at": answered.decided_at,
            "comment": answered.comment,
            "expires_at": answered.expires_at,
        },
    )
    person, action = answered.decided_by or "", f"approval.{answered.state}"
    reason = f"{answered.deed} {answered.comment}".strip()
    await audit.append(tx, person, action, approval_id(answered), reason, origin)


async def _close(
    tx: Tx,
    found: Approval,
    state: str,
    now: datetime,
    *,
    used_at: datetime | None = None,
    used_for: str | None = None,
    outcome: str | None = None,
) -> None:
    await tx.run(
        _sql.close,
        {
            "id": found.id,
            "state": state,
            "at": now,
            "used_at": used_at,
            "used_for": used_for,
            "outcome": outcome,
        },
    )


def _in_state(found: Iterable[Approval], state: str, used_for: str | None = None) -> Approval | None:
    return next(
        (each for each in found if each.state == state and (used_for is None or each.used_for == used_for)),
        None,
    )
