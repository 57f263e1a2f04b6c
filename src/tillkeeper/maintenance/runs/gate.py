"""What production asks before a run begins: the calendar, and the preflight of plans."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from tillkeeper.maintenance import plans
from tillkeeper.maintenance.plans import Answer, Calendar, Plan
from tillkeeper.maintenance.steps import Finding, Site


class CalendarGate:
    """Asks the calendar of the house, with the freezes and overrides that stand."""

    def __init__(self, site: Site, calendar: Calendar) -> None:
        self._site = site
        self._calendar = calendar
        self._zone = ZoneInfo(site.settings.timezone)

    async def closed(self, plan_id: UUID, plan: Plan) -> str:  # noqa: ARG002 - the plan as filed is asked about
        """Why it may not begin now, and when it may."""
        async with self._site.store.tx("may it run") as tx:
            filed = await plans.get(tx, plan_id)
            if filed is None:
                return "the plan is not there"
            answer = await plans.may_run(tx, filed, self._calendar, self._zone, self._site.clock)
        return "" if answer.allowed else in_words(answer)

    async def edge(self, plan_id: UUID, plan: Plan) -> datetime | None:
        """The end of its window or of the free time; where two people overrode the calendar, the window alone."""
        now = self._site.clock.now()
        async with self._site.store.tx("until when") as tx:
            if await plans.overrides_of(tx, plan_id):
                return plan.window.end if plan.window else None
            rules = await plans.rules_at(tx, self._calendar, self._zone, now)
        return plans.calendar.edge(rules, plan.window, now)

    async def findings(self, plan_id: UUID, plan: Plan) -> Sequence[Finding]:
        """The preflight of plans; each step's own is the executor's to ask for."""
        return await plans.preflight(self._site, plan_id, plan)


def in_words(answer: Answer) -> str:
    """Why not, and when."""
    why = "; ".join(f"{denial.kind} {denial.name}".strip() for denial in answer.denials)
    when = (
        f"it may begin at {answer.next:%Y-%m-%d %H:%M} UTC" if answer.next else "no time for it is in sight"
    )
    return f"{why or 'no window is open'}: {when}"
