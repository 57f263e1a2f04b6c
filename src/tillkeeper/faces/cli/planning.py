"""Plans, their calendar and their windows in lines for people."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from tillkeeper.maintenance import plans
from tillkeeper.maintenance.plans import Answer, Denial, Filed, Rehearsal, Span, Suggestion, Traffic

_LEVELS: Final = "▁▂▃▄▅▆▇█"
_UNKNOWN: Final = "·"
_CHOSEN: Final = "◆"
_HOUR: Final = timedelta(hours=1)
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_REASONS: Final = {
    "freeze": "freeze: {}",
    "holiday": "holiday: {}",
    "pay_day": "pay day",
    "busy_day": "busy day: {}",
    "cut_off": "cut-off: {}",
}

CHART_NOTE: Final = f"Payments by hour of the week in {{zone}}: {_LEVELS[0]} none to {_LEVELS[-1]} the busiest; {_UNKNOWN} not known; {_CHOSEN} proposed."


def filed_row(filed: Filed) -> tuple[str, ...]:
    """A plan as a row of a table."""
    window = filed.plan.window
    when = f"{window.begin:%Y-%m-%d %H:%M} – {window.end:%m-%d %H:%M}" if window else "any that is free"
    return filed.public_id, filed.state, filed.plan.goal, filed.author, str(len(filed.plan.steps)), when


def reason_of(denial: Denial) -> str:
    """What denies, in words."""
    return _REASONS[denial.kind].format(denial.name)


def tell_window(span: Span, zone: ZoneInfo) -> tuple[str, str]:
    """Begin and end in the business time zone."""
    begin, end = span.begin.astimezone(zone), span.end.astimezone(zone)
    return (
        f"{begin:%a %Y-%m-%d %H:%M}",
        f"{end:%H:%M}" if end.date() == begin.date() else f"{end:%a %m-%d %H:%M}",
    )


def why(each: Suggestion, zone: ZoneInfo) -> str:
    """Why a window is proposed."""
    if each.payments is None or each.quieter is None:
        said = ["traffic at that hour is not known yet"]
    else:
        busier = 100 - each.quieter
        said = [
            f"about {each.payments:,.0f} payments during the run; {busier:.0f} % of the week's hours are as busy or busier"
        ]
    if each.before is not None:
        said.append(f"after {reason_of(each.before)} until {each.before.end.astimezone(zone):%a %H:%M}")
    if each.after is not None:
        said.append(f"before {reason_of(each.after)} from {each.after.begin.astimezone(zone):%a %H:%M}")
    if each.batch is not None:
        said.append(f"it meets the platform's own {each.batch}")
    return "; ".join(said)


def chart(traffic: Traffic, found: Sequence[Suggestion], zone: ZoneInfo) -> Iterator[str]:
    """A week of hours as bars, a day a line, the proposed hours marked."""
    chosen = {hour for each in found for hour in _hours(each, zone)}
    yield "     " + "".join(f"{hour:<6}" for hour in range(0, 24, 6))
    for day, name in enumerate(_DAYS):
        line = ""
        for hour in range(24):
            place = day * 24 + hour
            line += _CHOSEN if place in chosen else _level(traffic.rates[place], traffic.peak)
        yield f"{name}  {line}"


def outline(filed: Filed, rehearsal: Rehearsal | None, answer: Answer, zone: ZoneInfo) -> Iterator[str]:
    """A plan in lines: what, how far, what is next."""
    made = filed.plan
    yield f"{filed.public_id}  {filed.state}  hash {filed.digest.hex()[:12]}"
    yield f"Goal      {made.goal}"
    yield f"Reason    {made.reason}"
    yield f"Owner     {made.owner}; written by {filed.author} on {filed.made_at.astimezone(zone):%Y-%m-%d %H:%M}"
    if made.window is not None:
        begin, end = tell_window(Span(made.window.begin, made.window.end), zone)
        yield f"Window    {begin} – {end}; at its end: {made.window.overrun}"
    for place, step in enumerate(made.steps, 1):
        yield f"Step {place:<4} {step.kind}  {step.title}".rstrip()
    yield f"Takes     about {plans.expected_seconds(made, rehearsal):,.0f} s"
    yield f"Rehearsal {_rehearsed(rehearsal, zone)}"
    yield f"Agreement {_agreed(filed, zone)}"
    yield f"Calendar  {_allowed(answer, zone)}"


def _rehearsed(rehearsal: Rehearsal | None, zone: ZoneInfo) -> str:
    if rehearsal is None:
        return "none of exactly this plan: till plan rehearse"
    at = f"{rehearsal.at.astimezone(zone):%Y-%m-%d %H:%M}"
    if rehearsal.passed:
        return f"passed on {at}, {rehearsal.evidence.seconds:.1f} s, {rehearsal.evidence.payments} payments under it"
    return f"did not pass on {at}: {rehearsal.evidence.said}"


def _agreed(filed: Filed, zone: ZoneInfo) -> str:
    if filed.approved_by is None or filed.approved_until is None:
        return "nobody's yet: a second person gives it in the console, under Four eyes"
    return f"{filed.approved_by}'s, until {filed.approved_until.astimezone(zone):%Y-%m-%d %H:%M}"


def _allowed(answer: Answer, zone: ZoneInfo) -> str:
    if answer.allowed:
        until = f" until {answer.last_start.astimezone(zone):%Y-%m-%d %H:%M}" if answer.last_start else ""
        leave = f" by leave of {answer.override.given_by}" if answer.override else ""
        return f"it may begin now{until}{leave}"
    denials = ", ".join(map(reason_of, answer.denials)) or "no window is open"
    when = f"from {answer.next.astimezone(zone):%a %Y-%m-%d %H:%M}" if answer.next else "no time is in sight"
    return f"not now ({denials}); {when}"


def _level(rate: float | None, peak: float) -> str:
    if rate is None:
        return _UNKNOWN
    return _LEVELS[round(rate / peak * (len(_LEVELS) - 1))] if peak > 0 else _LEVELS[0]


def _hours(each: Suggestion, zone: ZoneInfo) -> Iterator[int]:
    """The hours of the business week that a window touches."""
    at: datetime = each.begin
    while at < each.end:
        local = at.astimezone(zone)
        yield local.weekday() * 24 + local.hour
        at += _HOUR - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
