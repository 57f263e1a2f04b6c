"""The platform's own people: their sign-ins to the console are scored like a customer's logins, and kept.

Nobody is locked out: what breaks the glass (a one-time link, a recovery code) is noted and always let in, and so is somebody of
whom little is known yet. Whoever gave two factors is asked for one once more; only an identity provider's bare word is refused.
"""

import asyncio
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock, from_us, to_us
from tillkeeper.base.ids import NIL, new_id
from tillkeeper.risk.logins import agents, networks, rows
from tillkeeper.risk.logins.habits import Population, Thresholds, Trace, compare, trace_of
from tillkeeper.risk.logins.types import Login, Verdict
from tillkeeper.store import Store

BREAK_GLASS: Final = frozenset({"link", "recovery"})
ONE_FACTOR: Final = frozenset({"provider"})
_LITTLE: Final = 3
"""Sign-ins before anybody is asked again: everything is new about the first ones."""


async def sign_in(
    store: Store, clock: Clock, zone: ZoneInfo, person: str, way: str, ip: str, user_agent: str
) -> Verdict:
    """Score a sign-in that succeeded, and keep it. `way`: how they proved themselves, as sessions name it."""
    network = await asyncio.to_thread(networks.network_of, ip or None)
    agent = await asyncio.to_thread(agents.agent_of, user_agent or None)
    login = Login(
        new_id(), to_us(clock.now()), NIL, succeeded=True, ip=ip or None, network=network, agent=agent
    )
    async with store.tx("sign-in scored") as tx:
        past = [_trace(each, zone) for each in await rows.person_past(tx, person)]
        everybody = Population(limits.STAFF_LOGINS_REMEMBERED)
        for whose, each in await rows.people_past(tx):
            everybody.add(whose.encode(), _trace(each, zone))
        found = compare(_trace(login, zone), past, everybody)
        outcome = _outcome(Thresholds().outcome(found.score), way, found.known)
        verdict = Verdict(outcome, found.score, found.reasons, found.lifts, found.known)
        await rows.write_staff_login(tx, person, way, login, verdict)
        if outcome != "allow":
            why = f"{outcome}: {', '.join(verdict.reasons)}"
            await audit.append(tx, person, "session.doubted", person, why, ip)
    return verdict


def _outcome(outcome: str, way: str, known: int) -> str:
    if way in BREAK_GLASS or known < _LITTLE:
        return "allow"
    return "ask_again" if outcome == "block" and way not in ONE_FACTOR else outcome


def _trace(login: Login, zone: ZoneInfo) -> Trace:
    offset = from_us(login.at_us).astimezone(zone).utcoffset() or timedelta()
    return trace_of(login, offset // timedelta(microseconds=1))
