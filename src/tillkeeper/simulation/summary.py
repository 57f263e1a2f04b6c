"""What the city tells: one line while it lives, a report at the end, and the same as one JSON object."""

from typing import Any, Final

import msgspec

from tillkeeper.base.money import format_money
from tillkeeper.simulation.deeds import Deeds
from tillkeeper.simulation.journal import Journal
from tillkeeper.simulation.tally import Tally

LOCALE: Final = "en"
BOOKS: Final = {True: "balanced", False: "DO NOT BALANCE", None: "not checked"}


class Ending(msgspec.Struct, frozen=True):
    """What the run itself cannot know: how long it took, whether the ledger's own audit found the books balanced."""

    seconds: float
    balanced: bool | None
    verified: bool
    """Whether every acknowledged payment was looked for."""
    tour: dict[str, Any] | None = None
    """What became of the tour of maintenance, if there was one."""
    watch: dict[str, Any] | None = None
    """What became of the tour of the watch: the case, labels, and models' average precision."""


def progress(deeds: Deeds, seconds: float, rate: float, books: str) -> str:
    """One line: how many payments, how fast, how well, and what is known of the books."""
    tally = deeds.tally
    return "  ".join(
        (
            f"{int(seconds):>4d} s",
            f"{tally.payments:,} payments",
            f"{rate:.0f}/s",
            f"{_success(deeds.journal):.1f} % ok",
            f"fraud {tally.caught} caught {tally.missed} missed",
            f"{_money(tally.moved.get('CNY', 0))} moved",
            f"p99 {tally.recent.percentile(99) * 1000:.0f} ms",
            f"books {books}",
        )
    )


def as_json(deeds: Deeds, ending: Ending) -> str:
    """The facts as one line of JSON."""
    return msgspec.json.encode(facts(deeds, ending)).decode()


def facts(deeds: Deeds, ending: Ending) -> dict[str, Any]:
    """Everything worth telling. Amounts are minor units, by currency; times are milliseconds."""
    tally, journal = deeds.tally, deeds.journal
    friction = tally.friction.total()
    return {
        "seconds": round(ending.seconds, 1),
        "payments": tally.payments,
        "per_second": round(tally.payments / ending.seconds, 1) if ending.seconds else 0.0,
        "outcomes": {state: count for state, count in journal.outcomes.most_common() if count},
        "failures": dict(tally.failures.most_common()),
        "fraud": {
            "payments": sum(catch.payments for catch in tally.catches.values()),
            "caught": tally.caught,
            "missed": tally.missed,
            "kinds": {kind: msgspec.to_builtins(catch) for kind, catch in sorted(tally.catches.items())},
        },
        "honest": {
            "payments": tally.honest,
            "stopped": friction,
            "stopped_percent": _percent(friction, tally.honest),
            "by_decision": dict(tally.friction),
        },
        "moved": dict(tally.moved.most_common()),
        "logins": {kind: dict(found.most_common()) for kind, found in sorted(tally.logins.items())},
        "besides": dict(tally.besides.most_common()),
        "problems": dict(tally.problems.most_common()),
        "repeats": msgspec.to_builtins(tally.replays),
        "bad_requests": msgspec.to_builtins(tally.spoiled),
        "latency_ms": {f"p{q}": round(tally.latency.percentile(q) * 1000, 1) for q in (50, 95, 99)},
        "answered_on_a_later_try": tally.late_answers,
        "unanswered": tally.unanswered,
        "acknowledged": journal.acknowledged,
        "missing": len(journal.missing) if ending.verified else None,
        "books_balanced": ending.balanced,
        "tour": ending.tour,
        "watch": ending.watch,
    }


def as_text(deeds: Deeds, ending: Ending) -> str:
    """The summary for people, some twenty lines."""
    tally, journal = deeds.tally, deeds.journal
    latency = tally.latency
    rows = [
        (
            "payments",
            f"{tally.payments:,} in {ending.seconds:.0f} s, {tally.payments / max(ending.seconds, 1e-9):.0f}/s",
        ),
        ("outcomes", _counts(journal.outcomes)),
        ("not paid because", _counts(tally.failures)),
        (
            "money moved",
            ", ".join(_money(amount, code) for code, amount in tally.moved.most_common() if amount),
        ),
        ("logins", "; ".join(f"{kind}: {_counts(found)}" for kind, found in sorted(tally.logins.items()))),
        ("besides", _counts(tally.besides)),
        ("answers", " · ".join(f"p{q} {latency.percentile(q) * 1000:.1f} ms" for q in (50, 95, 99))),
        ("fraud", f"{tally.caught} caught, {tally.missed} missed"),
        *(("  " + kind.replace("_", " "), _catch(tally, kind)) for kind in sorted(tally.catches)),
        ("honest stopped", _honest(tally)),
        ("same key again", f"{tally.replays.same} of {tally.replays.sent} got the first answer"),
        ("bad requests", _spoiled(tally)),
        ("refused", _counts(tally.problems)),
        ("no answer", f"{tally.unanswered} after all tries, {tally.late_answers:,} answered on a later try"),
        ("maintenance", ending.tour["state"] if ending.tour else ""),
        ("watch", _watch(ending.watch) if ending.watch else ""),
        ("missing", _missing(journal, ending)),
        ("books", BOOKS[ending.balanced]),
    ]
    return "\n".join(f"{name:<20}{value}" for name, value in rows if value)


def _catch(tally: Tally, kind: str) -> str:
    catch = tally.catches[kind]
    text = f"{catch.caught} of {catch.payments} caught ({_money(catch.stopped)}), {catch.missed} missed ({_money(catch.lost)})"
    return f"{text}, {catch.failed} failed otherwise" if catch.failed else text


def _honest(tally: Tally) -> str:
    stopped = tally.friction.total()
    by_decision = f" ({_counts(tally.friction)})" if stopped else ""
    return f"{stopped} of {tally.honest:,}, {_percent(stopped, tally.honest)} %{by_decision}"


def _spoiled(tally: Tally) -> str:
    accepted = f", ACCEPTED: {', '.join(tally.spoiled.accepted)}" if tally.spoiled.accepted else ""
    return f"{tally.spoiled.refused} of {tally.spoiled.sent} refused{accepted}"


def _missing(journal: Journal, ending: Ending) -> str:
    if not ending.verified:
        return "not checked: the list of payments could not be read"
    examples = "".join(
        f"\n{'':<20}{each.payment}: {each.said} -> {each.found}"
        for each in list(journal.missing.values())[:5]
    )
    return f"{len(journal.missing)} of {journal.acknowledged:,} acknowledged payments{examples}"


def _success(journal: Journal) -> float:
    """Per cent of the payments whose money went or is held for the shop."""
    good = sum(
        journal.outcomes[state]
        for state in ("succeeded", "authorized", "partially_refunded", "refunded", "voided")
    )
    return 100 * good / max(journal.outcomes.total(), 1)


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0


def _counts(counter: dict[str, int]) -> str:
    return ", ".join(
        f"{count:,} {name.replace('_', ' ')}"
        for name, count in sorted(counter.items(), key=lambda item: -item[1])
        if count
    )


def _money(amount: int, currency: str = "CNY") -> str:
    return format_money(amount, currency, LOCALE)


def _watch(watch: dict[str, Any]) -> str:
    models = ", ".join(f"model {model} {value:.2f}" for model, value in watch["figures"].items())
    better = "the challenger overtook" if watch["overtook"] else "the champion stayed"
    return f"{watch['labels']} labels from case {watch['case']}; average precision: {models}: {better}"
