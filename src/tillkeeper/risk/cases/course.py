"""What may become of a case, step by step. Pure: a case and an act give the case after it, or why not."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from tillkeeper.base import limits
from tillkeeper.base.results import Refusal
from tillkeeper.risk.cases.clocks import due
from tillkeeper.risk.cases.types import Case, VerdictKind


def claim(case: Case, person: str, now: datetime) -> Case | Refusal:
    """Somebody works on it from now on. Claiming again what is one's own begins its time anew."""
    if (refusal := _closed(case)) is not None:
        return refusal
    other = case.claimant(now)
    if other not in (None, person):
        return Refusal("case_claimed", f"{other} works on it; ask them to hand it over")
    return _held(case, person, now, limits.CASE_CLAIM_SECONDS)


def release(case: Case, person: str, now: datetime) -> Case | Refusal:
    """Whoever works on it gives it back to the queue."""
    if (refusal := _not_mine(case, person, now)) is not None:
        return refusal
    return replace(case, claimed_by=None, claimed_until=None)


def hand_over(case: Case, person: str, to: str, now: datetime) -> Case | Refusal:
    """Whoever works on it gives it to a colleague, who has longer to begin."""
    if (refusal := _not_mine(case, person, now)) is not None:
        return refusal
    if to == person:
        return Refusal("invalid_value", "name a colleague", "to")
    return _held(case, to, now, limits.CASE_HANDED_SECONDS)


def keep(case: Case, person: str, now: datetime) -> Case:
    """Whoever works on it did something: their time begins anew, and never ends sooner than before."""
    if case.claimant(now) != person or case.claimed_until is None:
        return case
    until = max(case.claimed_until, now + timedelta(seconds=limits.CASE_CLAIM_SECONDS))
    return replace(case, claimed_until=until)


def decide(case: Case, person: str, verdict: VerdictKind, now: datetime) -> Case | Refusal:
    """Whoever works on it says what it was; nobody works on it any more."""
    if (refusal := _not_mine(case, person, now)) is not None:
        return refusal
    return replace(
        case,
        state="closed",
        verdict=verdict,
        closed_by=person,
        closed_at=now,
        claimed_by=None,
        claimed_until=None,
    )


def reopen(case: Case, person: str, now: datetime) -> Case | Refusal:
    """A decided case is open again, claimed by who opened it; its clock begins anew."""
    if case.state != "closed":
        return Refusal("case_state", "it is open")
    opened = replace(
        case,
        state="open",
        verdict=None,
        closed_by=None,
        closed_at=None,
        due_at=due(case.severity, now),
        overdue_at=None,
    )
    return _held(opened, person, now, limits.CASE_CLAIM_SECONDS)


def _held(case: Case, person: str, now: datetime, seconds: float) -> Case:
    return replace(case, claimed_by=person, claimed_until=now + timedelta(seconds=seconds))


def _closed(case: Case) -> Refusal | None:
    if case.state == "open":
        return None
    return Refusal("case_state", f"{case.closed_by} decided it ({case.verdict}); it can be opened again")


def _not_mine(case: Case, person: str, now: datetime) -> Refusal | None:
    if (refusal := _closed(case)) is not None:
        return refusal
    other = case.claimant(now)
    if other is None:
        return Refusal("case_not_claimed", "claim it, so that no two people work on it")
    if other != person:
        return Refusal("case_claimed", f"{other} works on it; ask them to hand it over")
    return None
