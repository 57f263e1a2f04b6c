"""The platform's own traffic by hour of the week, and windows proposed from it."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tillkeeper import monitoring
from tillkeeper.base.clock import Clock, ManualClock
from tillkeeper.maintenance.plans import filing
from tillkeeper.maintenance.plans.calendar import Calendar
from tillkeeper.maintenance.plans.exceptions import expected_seconds, rules_at
from tillkeeper.maintenance.plans.suggesting import HOURS, Suggestion, Traffic, suggest
from tillkeeper.maintenance.plans.types import Plan
from tillkeeper.store import Tx

_MEASURE = "payments.rate"
_HOUR = 3600


async def traffic(tx: Tx, zone: ZoneInfo, clock: Clock) -> Traffic:
    """What monitoring knows: an hour's median of up to four weeks; where that is not known yet, the same hour of yesterday."""
    yesterday = {}
    for back in range(24):
        until = clock.now() - timedelta(hours=back)
        found = await monitoring.measure(tx, _MEASURE, _HOUR, clock, until=until)
        yesterday[(until - timedelta(seconds=1)).astimezone(zone).hour] = found.value
    monday = _monday(clock.now(), zone)
    rates: list[float | None] = []
    weeks = 0
    for hour in range(HOURS):
        usual = await monitoring.usual(tx, _MEASURE, ManualClock(monday + timedelta(hours=hour)))
        weeks += usual is not None
        rates.append(yesterday[hour % 24] if usual is None else usual)
    return Traffic(tuple(rates), weeks)


async def suggest_window(
    tx: Tx, plan: Plan, calendar: Calendar, zone: ZoneInfo, clock: Clock, drill_seconds: float = 0.0
) -> tuple[Traffic, tuple[Suggestion, ...]]:
    """Windows for a plan, and the traffic that they were found by. `drill_seconds`: what a restore takes, as the rehearsal
    begins with one.
    """
    known = await traffic(tx, zone, clock)
    rehearsal = await filing.rehearsal_of(tx, plan.digest)
    seconds = expected_seconds(plan, rehearsal)
    ahead = 0.0 if rehearsal is not None and rehearsal.passed else drill_seconds + 3 * seconds
    lead = plan.notice.lead_hours * _HOUR if plan.notice is not None else 0.0
    earliest = clock.now() + timedelta(seconds=max(ahead, lead))
    rules = await rules_at(tx, calendar, zone, clock.now())
    return known, suggest(rules, known, seconds, earliest)


def _monday(now: datetime, zone: ZoneInfo) -> datetime:
    """The beginning of this business week: an hour of it that is still to come has weeks before it all the same."""
    local = now.astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - timedelta(days=local.weekday())).astimezone(now.tzinfo)
