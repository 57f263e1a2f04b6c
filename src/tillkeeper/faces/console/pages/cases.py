"""Cases: the queue, one case with everything a person needs to decide it, and the acts."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from tillkeeper import access, risk
from tillkeeper.base import limits
from tillkeeper.base.discretion import gossip
from tillkeeper.base.ids import BadIdError, first_id_at, from_typeid
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.faces.console.desk import Desk, Page, TheDesk, Web, go_to, origin_of, person_of, typed
from tillkeeper.faces.console.names import names_of, parties_in
from tillkeeper.faces.console.pages.logins import reasons_in, tone
from tillkeeper.faces.console.pages.payments import id_from, releases_of
from tillkeeper.faces.console.pages.vicinity import read_vicinity
from tillkeeper.payments import Payment, browse
from tillkeeper.payments.browse import Filter
from tillkeeper.risk import cases, logins
from tillkeeper.risk.cases import Case, Dossier, Show
from tillkeeper.store import Tx

DAYS: Final = (1, 7, 30)
LISTS: Final = ("block", "watch", "trust")
_THINGS: Final = 12  # devices and addresses offered for lists
_RECENT: Final = 25  # payments of the subject that a verdict can be about, besides those alerted about
_ALERTS: Final = 8  # shown of a case, those with the most to lose
_MOMENTS: Final = 15  # of the timeline; the whole of it has a page of its own
_AFTER: Final = timedelta(minutes=1)  # of the timeline after the newest alert
_WORK: Final = "case.work"

Act = Callable[[Tx, UUID, str, str], Awaitable[Case | Refusal]]
"""What a form does: in a transaction, to a case, by a person, from an address."""


@get("/cases", action="case.view")
async def queue(request: Web, desk: TheDesk) -> Page:
    """What should be worked on next? The largest expected loss first."""
    wanted = request.query_params.get("show")
    show: Show = next((each for each in cases.SHOWS if each == wanted), "open")
    person, now = person_of(request), desk.clock.now()
    async with desk.store.tx("console cases") as tx:
        page = await cases.listed(tx, show, person, now, request.query_params.get("after", ""))
        counts = await cases.counts(tx, person, now)
        names = await names_of(tx, desk.vault, [each.subject for each in page.rows])
        samples = await cases.measure(tx, now)
    context = {
        "show": show,
        "shows": cases.SHOWS,
        "page": page,
        "counts": counts,
        "counted": limits.CASES_COUNTED,
        "names": names,
        "samples": samples,
        "sample_days": limits.BYPASS_DAYS,
        "older": urlencode({"show": show, "after": page.after}) if page.after else None,
        "newest": "after" in request.query_params,
    }
    return await desk.page(request, "cases.html", context)


@get("/cases/{public_id:str}", action="case.view")
async def case(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """One case: what it is made of, what the subject did, who is near, what became of it; and what can be done."""
    async with desk.store.tx("console case") as tx:
        dossier = await cases.dossier(tx, id_from(cases.PREFIX, public_id))
        if dossier is None:
            raise NotFoundException
        context = await _context(tx, request, desk, dossier)
    return await desk.page(request, "case.html", context)


@post("/cases/{public_id:str}/claim", action=_WORK)
async def claim(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Work on it: nobody else decides it meanwhile."""

    async def act(tx: Tx, id_: UUID, person: str, origin: str) -> Case | Refusal:
        return await cases.claim(tx, id_, person, desk.clock, origin)

    return await _do(request, desk, public_id, act, "case_claimed")


@post("/cases/{public_id:str}/release", action=_WORK)
async def release(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Give it back to the queue."""

    async def act(tx: Tx, id_: UUID, person: str, origin: str) -> Case | Refusal:
        return await cases.release(tx, id_, person, desk.clock, origin)

    return await _do(request, desk, public_id, act, "case_released")


@post("/cases/{public_id:str}/hand-over", action=_WORK)
async def hand_over(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Give it to a colleague who may work cases."""
    form = await request.form()
    to, remark = typed(form, "to"), typed(form, "remark")

    async def act(tx: Tx, id_: UUID, person: str, origin: str) -> Case | Refusal:
        if to not in await colleagues(tx):
            return Refusal("unknown_person", "choose somebody who works cases", "to")
        return await cases.hand_over(tx, id_, person, to, desk.clock, remark, origin)

    return await _do(request, desk, public_id, act, "case_handed_over")


@post("/cases/{public_id:str}/note", action=_WORK)
async def note(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Write something down for whoever works on it next."""
    text = typed(await request.form(), "text")

    async def act(tx: Tx, id_: UUID, person: str, origin: str) -> Case | Refusal:
        return await cases.note(tx, id_, person, text, desk.clock, origin)

    return await _do(request, desk, public_id, act, "case_noted")


@post("/cases/{public_id:str}/decide", action=_WORK)
async def decide(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Say what it was, and about which payments; they are labelled with it from now on."""
    form = await request.form()
    payments = _payments(form.getall("payment", []))

    async def act(tx: Tx, id_: UUID, person: str, origin: str) -> Case | Refusal:
        if isinstance(payments, Refusal):
            return payments
        verdict, reason = typed(form, "verdict"), typed(form, "reason")
        return await cases.decide(tx, id_, person, verdict, payments, reason, desk.clock, origin)

    return await _do(request, desk, public_id, act, "case_decided")


@post("/cases/{public_id:str}/reopen", action=_WORK)
async def reopen(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Work on a decided case again."""
    reason = typed(await request.form(), "reason")

    async def act(tx: Tx, id_: UUID, person: str, origin: str) -> Case | Refusal:
        return await cases.reopen(tx, id_, person, reason, desk.clock, origin)

    return await _do(request, desk, public_id, act, "case_reopened")


@post("/cases/{public_id:str}/list", action="rules.write")
async def put_on_list(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Put the subject, or a device or address it came from, on a list of risk for some days. A list overrules every rule, so it
    takes who may write rules, here as on the page of lists.
    """
    form = await request.form()
    entity, _, key = typed(form, "thing").partition(":")
    list_, days, reason = typed(form, "list"), typed(form, "days"), typed(form, "reason")

    async def act(tx: Tx, id_: UUID, person: str, origin: str) -> Case | Refusal:
        found = await cases.find(tx, id_)
        if found is None:
            return Refusal("unknown_case")
        # Deeper than the page looks: whoever fills in the form while the subject goes on is not sent back.
        if (entity, key) not in _things(found, await _around(tx, found, limits.PAGE_MAX)):
            return Refusal("invalid_value", "choose one of the list", "thing")
        if (refusal := _list_mistake(days, reason)) is not None:
            return refusal
        now = desk.clock.now()
        entry = risk.Listing(list_, entity, key, now + timedelta(days=int(days)), reason, person, now)
        try:
            await risk.put_on_list(tx, entry, desk.clock)
        except Refused as refused:
            return refused.refusal
        return await cases.note_listed(tx, id_, person, f"{list_}: {entity}, {days} d", desk.clock, origin)

    return await _do(request, desk, public_id, act, "case_listed")


def _itself(found: Case) -> tuple[str, str]:
    """The subject as lists of risk name it."""
    return "customer" if found.subject_kind == "customer" else "payee", str(found.subject)


def _list_mistake(days: str, reason: str) -> Refusal | None:
    if days not in {str(each) for each in DAYS}:
        return Refusal("invalid_value", f"one of {DAYS} days", "days")
    if not 0 < len(reason) <= limits.MAX_TEXT:
        return Refusal("reason_missing", "say why", "reason")
    return gossip(reason, "reason")


async def colleagues(tx: Tx) -> list[str]:
    """Everybody who may work cases."""
    policies = access.policies()
    return [
        each.person
        for each in await access.people(tx)
        if each.state == "active" and _WORK in policies.permitted("Person", frozenset(each.roles))
    ]


async def _do(request: Web, desk: Desk, public_id: str, act: Act, notice: str) -> Page:
    """Carry an act out, and show the case after it, or why it was not done."""
    id_ = id_from(cases.PREFIX, public_id)
    async with desk.store.tx("console case act") as tx:
        said = await act(tx, id_, person_of(request), origin_of(request))
    if isinstance(said, Case):
        return go_to(f"/cases/{public_id}?notice={notice}")
    if said.code == "unknown_case":
        raise NotFoundException
    context = {"problem": said.code, "detail": said.detail, "back": f"/cases/{public_id}"}
    return await desk.page(request, "problem.html", context, said.status)


async def _context(tx: Tx, request: Web, desk: Desk, dossier: Dossier) -> Mapping[str, Any]:
    found, now, person = dossier.case, desk.clock.now(), person_of(request)
    alerted = {each[0] for each in dossier.payments}
    recent = await browse.search(tx, Filter(party=found.subject), None, _RECENT)
    rows = await _with_alerted(tx, alerted, recent.rows)
    held = [row for row in rows if row.state == "in_review"]
    claimant, told = found.claimant(now), await _told(tx, request, desk, found)
    met = {found.subject, *parties_in(rows), *(each.payee for each in told["moments"] if each.payee)}
    return {
        "c": found,
        "d": dossier,
        "names": await names_of(tx, desk.vault, met),
        "rows": rows,
        "alerted": alerted,
        "held": held,
        "releases": await releases_of(tx, desk, [row.id for row in held]),
        "labels": await cases.labels_of(tx, [row.id for row in rows]),
        "claimant": claimant,
        "is_mine": claimant == person,
        "colleagues": [each for each in await colleagues(tx) if each != person],
        "verdicts": cases.VERDICTS,
        "shown_alerts": _ALERTS,
        **told,
        **await read_vicinity(tx, desk.vault, dossier, now, desk.renderer(request)),
    }


async def _told(tx: Tx, request: Web, desk: Desk, found: Case) -> Mapping[str, Any]:
    """The timeline up to the newest alert, and what of it can be put on a list, or is on one."""
    moments = await _around(tx, found, _MOMENTS)
    things = _things(found, moments)[: _THINGS + 1]
    return {
        "moments": moments,
        "tone": tone,
        "reasons": reasons_in(desk.renderer(request)),
        "things": things,
        "listed": await _in_force(tx, things, desk.clock.now()),
        "lists": LISTS,
        "days": DAYS,
    }


async def _around(tx: Tx, found: Case, count: int) -> list[logins.Moment]:
    """What the subject did up to a while after the newest alert: days of ordinary life since are not what the case is about."""
    return await logins.timeline(tx, found.subject, first_id_at(found.alerted_at + _AFTER), count)


def _things(found: Case, moments: Sequence[logins.Moment]) -> list[tuple[str, str]]:
    """What a case offers for lists: its subject, and the devices and addresses that it came from of late."""
    seen = dict.fromkeys(
        (kind, text) for m in moments for kind, text in (("device", m.device), ("ip", m.ip)) if text
    )
    return [_itself(found), *seen]


async def _in_force(tx: Tx, things: Sequence[tuple[str, str]], now: datetime) -> list[risk.Listing]:
    """The newest word of each list on each thing, where it is in force."""
    found: list[risk.Listing] = []
    for thing in things:
        newest = {each.list: each for each in reversed(await risk.listings_of(tx, *thing))}
        found += [
            each for each in newest.values() if not each.ended and (each.until is None or each.until > now)
        ]
    return found


async def _with_alerted(tx: Tx, alerted: set[UUID], recent: Sequence[Payment]) -> list[Payment]:
    """The payments that were alerted about and the subject's newest others, newest first."""
    missing = alerted - {row.id for row in recent}
    rows = [*recent, *(await browse.find_payments(tx, sorted(missing)) if missing else [])]
    return sorted(rows, key=lambda row: (row.id in alerted, row.id), reverse=True)


def _payments(texts: Sequence[Any]) -> list[UUID] | Refusal:
    try:
        return [from_typeid("pay", str(each)) for each in texts]
    except BadIdError as error:
        return Refusal("bad_id", str(error), "payment")
