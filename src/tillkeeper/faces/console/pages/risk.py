"""Risk as a whole: what fraud was stopped and what got through, what each rule is worth, where payments are made."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from litestar import get

from tillkeeper import risk
from tillkeeper.base import limits
from tillkeeper.base.clock import from_us
from tillkeeper.faces.console import charts
from tillkeeper.faces.console.atlas import Spot, atlas
from tillkeeper.faces.console.desk import Page, TheDesk, Web
from tillkeeper.faces.console.names import names_of, parties_in
from tillkeeper.faces.console.render import Renderer
from tillkeeper.payments import Payment, browse
from tillkeeper.risk import RuleSet, overview, warning
from tillkeeper.risk import browse as risks
from tillkeeper.risk.logins import watch
from tillkeeper.risk.overview import STEP, Hits, RuleTally, Scores, Square, Verdict, Worth
from tillkeeper.store import Tx

SPANS: Final = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}
FATES: Final = ("saved", "lost", "disturbed")
_USUAL: Final = "week"
_WORDS: Final = 5_000  # words about payments that figures of money are made of
_PLACES: Final = 8
_STOPPING: Final = ("deny", "hold", "challenge")


class Fate(NamedTuple):
    """What came of a payment that somebody spoke of. `name`: of FATES; `amount`: minor units of the reference currency
    that were saved or lost, or that an honest payer was kept from at first.
    """

    payment: UUID
    name: str
    amount: int


class Sum(NamedTuple):
    """How many payments had one fate, and their money."""

    payments: int
    amount: int


class Judged(NamedTuple):
    """A rule with what it did; `rule` is None once it is no longer in force."""

    name: str
    rule: risk.Rule | None
    tally: RuleTally


@get("/risk", action="risk.view")
async def overall(request: Web, desk: TheDesk) -> Page:
    """Is fraud stopped, at whose cost, by which rule, and from where?"""
    span, since, now = span_of(request, desk.clock.now())
    async with desk.store.tx("console risk") as tx:
        rules = await rules_in_force(tx)
        worth = Worth.of(rules) if rules else None
        hits = await overview.hits(tx, since, now, worth) if worth else Hits({}, {}, partial=False)
        squares = await overview.places(tx, since)
        scores = await overview.scores(tx, since)
        signals = await warning.open_signals(tx)
        login_hits = await watch.rule_hits(tx, since)
        silent = {each.rule: each for each in await risk.mutes(tx, now) if not each.entity}
        opened = {trip.rule for trip, _ in await risk.trips(tx) if from_us(trip.at_us) >= since}
        fates, spoken = await _fates(tx, since, worth) if worth else ([], 0)
    renderer = desk.renderer(request)
    context = {
        "span": span,
        "spans": SPANS,
        "ticks": renderer.ticks(since, now),
        "worth": worth,
        "sums": {name: _sum(fates, name) for name in FATES},
        "spoken": spoken,
        "spoken_most": _WORDS,
        "hits": hits,
        "judged": judged(rules, hits),
        "login_hits": login_hits,
        "signals": signals,
        "signal_words": lambda signal: warning.said(signal, renderer.texts.language.partition("-")[0]),
        "signal_title": lambda signal: warning.kind_in_words(
            signal.kind, renderer.texts.language.partition("-")[0]
        ),
        "silent": silent,
        "opened": opened,
        **_pictures(hits, squares, renderer),
        **_scores(scores, span, renderer),
        "squares": [(each, place_name(each, renderer), _at(each, span)) for each in squares[:_PLACES]],
        "further_squares": max(len(squares) - _PLACES, 0),
    }
    return await desk.page(request, "risk.html", context)


@get("/risk/payments", action="payment.view")
async def payments(request: Web, desk: TheDesk) -> Page:
    """The payments behind a figure of the overview: those of one fate (`of`), or those made in one square of the map."""
    span, since, _ = span_of(request, desk.clock.now())
    fate, square = request.query_params.get("of", ""), _square(request.query_params)
    band = _band(request.query_params.get("band", ""))
    async with desk.store.tx("console risk payments") as tx:
        rules = await rules_in_force(tx)
        ids: list[UUID] = []
        if square is not None:
            ids = await overview.at_place(tx, since, square.latitude, square.longitude, limits.PAGE_DEFAULT)
        elif band is not None:
            ids = (await overview.scores(tx, since)).in_band(band, limits.PAGE_DEFAULT)
        elif rules is not None and fate in FATES:
            fates, _ = await _fates(tx, since, Worth.of(rules))
            ids = [each.payment for each in fates if each.name == fate][: limits.PAGE_DEFAULT]
        rows = await browse.find_payments(tx, ids)
        names = await names_of(tx, desk.vault, parties_in(rows))
    context = {
        "span": span,
        "fate": fate if fate in FATES else None,
        "place": place_name(square, desk.renderer(request)) if square else None,
        "band": band_name(band) if band is not None else None,
        "rows": rows,
        "names": names,
        "most": limits.PAGE_DEFAULT,
    }
    return await desk.page(request, "risk_payments.html", context)


async def rules_in_force(tx: Tx) -> RuleSet | None:
    """The rules that decide now; None before any did."""
    sets = await risks.rule_sets(tx)
    return risk.stored_rules(sets[0].source) if sets else None


def judged(rules: RuleSet | None, hits: Hits) -> list[Judged]:
    """All rules in force, and those that hit and no longer are; what caught most money alone first."""
    known = {rule.name: rule for rule in rules.rules} if rules else {}
    names = known.keys() | hits.by_rule.keys()
    found = [Judged(name, known.get(name), hits.by_rule.get(name, RuleTally(name))) for name in names]
    return sorted(
        found, key=lambda each: (-each.tally.caught_alone, -each.tally.caught, -each.tally.hits, each.name)
    )


def fate_of(verdict: Verdict, payment: Payment) -> str | None:
    """Saved, lost or disturbed; None for a payment that went the way it should have, or that we did not stop."""
    stopped = verdict.outcome != "allow"
    if not verdict.fraud:
        return "disturbed" if stopped else None
    if payment.captured > payment.refunded:
        return "lost"
    return "saved" if stopped else None


async def _fates(tx: Tx, since: datetime, worth: Worth) -> tuple[list[Fate], int]:
    """What came of the payments that somebody spoke of since a moment, the last spoken of first; and how many those are."""
    verdicts = await overview.verdicts(tx, since, _WORDS)
    rows = {row.id: row for row in await browse.find_payments(tx, [each.payment for each in verdicts])}
    found = []
    for each in verdicts:
        row = rows.get(each.payment)
        if row is not None and (name := fate_of(each, row)):
            moved = row.captured - row.refunded
            amount = moved if name == "lost" else row.amount - moved if name == "saved" else row.amount
            found.append(Fate(row.id, name, worth.of_amount(amount, row.currency)))
    return found, len(verdicts)


def _sum(fates: Iterable[Fate], name: str) -> Sum:
    amounts = [each.amount for each in fates if each.name == name]
    return Sum(len(amounts), sum(amounts))


def _pictures(hits: Hits, squares: Sequence[Square], renderer: Renderer) -> dict[str, Any]:
    """The curve of what was stopped, and the map."""
    layers = [(name, hits.over_time.get(name, [0] * overview.SLICES)) for name in reversed(_STOPPING)]
    curve, top = charts.columns(layers, renderer.texts("risk_page.over_time"))
    spots = [
        Spot((each.latitude + 0.5) * STEP, (each.longitude + 0.5) * STEP, each.decided, each.stopped)
        for each in squares
    ]
    drawn = atlas(spots, renderer.texts("risk_page.map_label", count=len(squares)))
    return {
        "curve": curve,
        "curve_top": top,
        "map": drawn,
        "stopped_now": sum(map(sum, hits.over_time.values())),
    }


def _scores(scores: Scores, span: str, renderer: Renderer) -> dict[str, Any]:
    """Bars of the scores: all payments, and known frauds before them; the same in words."""
    bins = scores.counted()
    label = renderer.texts("risk_page.scores_label", count=len(scores.rows))
    plot, top = charts.bars(
        [("quiet", [each.payments for each in bins]), ("deny", [each.frauds for each in bins])], label
    )
    bands = [(band_name(n), f"/risk/payments?band={n}&span={span}", each) for n, each in enumerate(bins)]
    return {
        "scored": len(scores.rows),
        "scored_most": overview.SCORED,
        "scores_plot": plot,
        "scores_top": top,
        "bands": [each for each in bands if each[2].payments],
    }


def band_name(band: int) -> str:
    """A band of the score by its ends."""
    return f"{band / overview.BINS:.2f} – {(band + 1) / overview.BINS:.2f}"


def _band(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text[:4]) < overview.BINS else None


def place_name(square: Square, renderer: Renderer) -> str:
    """A square by the degrees of its corner: 31° N 121° E."""
    latitude, longitude = int(square.latitude * STEP), int(square.longitude * STEP)
    north = renderer.texts("risk_page.north" if latitude >= 0 else "risk_page.south", degrees=abs(latitude))
    east = renderer.texts("risk_page.east" if longitude >= 0 else "risk_page.west", degrees=abs(longitude))
    return f"{north} {east}"


def _at(square: Square, span: str) -> str:
    query = urlencode({"latitude": square.latitude, "longitude": square.longitude, "span": span})
    return f"/risk/payments?{query}"


def _square(query: Mapping[str, str]) -> Square | None:
    """The square that an address names; anything else is none."""
    try:
        latitude, longitude = int(query["latitude"]), int(query["longitude"])
    except (KeyError, ValueError):
        return None
    fits = abs(latitude) * STEP <= 90 and abs(longitude) * STEP <= 180
    return Square(latitude, longitude, 0, 0) if fits else None


def span_of(request: Web, now: datetime) -> tuple[str, datetime, datetime]:
    """The period that an address asks for: its name, and from when to when."""
    span = request.query_params.get("span", _USUAL)
    span = span if span in SPANS else _USUAL
    return span, now - SPANS[span], now
