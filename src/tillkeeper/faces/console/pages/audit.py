"""The audit trail: search, one event, export; and the light that says how far the seal is."""

import csv
import io
from collections.abc import AsyncIterator, Mapping
from datetime import UTC
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from litestar import Response, get
from litestar.exceptions import HTTPException, NotFoundException
from litestar.params import FromPath
from litestar.response import Stream

from tillkeeper import audit
from tillkeeper.audit import Event, Filter
from tillkeeper.base import limits
from tillkeeper.base.ids import BadIdError, from_typeid, to_typeid
from tillkeeper.faces.console.desk import Desk, Page, TheDesk, Web, lead_to, origin_of, person_of, typed
from tillkeeper.faces.console.pages.payments import cursor, id_from
from tillkeeper.faces.console.pages.search import day
from tillkeeper.store import Store

FIELDS: Final = ("person", "action", "subject", "result", "since", "until")
RESULTS: Final = ("done", "refused", "failed")
_COLUMNS: Final = ("id", "at", "actor", "action", "subject", "reason", "origin", "result", "seq")
_TYPES: Final = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}
# What a spreadsheet takes for a formula at the beginning of a cell, as ASCII and as full-width characters.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_PAGES: Final = {"pay": "payments", "cus": "customers", "mer": "merchants"}


class Asked(msgspec.Struct, frozen=True):
    """A search as it was typed. `mistakes`: text keys by field; with any, nothing is searched."""

    texts: dict[str, str]
    wanted: Filter
    mistakes: dict[str, str]

    @property
    def kept(self) -> dict[str, str]:
        """What was asked for at all."""
        return {field: text for field, text in self.texts.items() if text}


def read(query: Mapping[str, str], desk: Desk) -> Asked:
    """Read a search."""
    texts = {field: typed(query, field) for field in FIELDS}
    mistakes: dict[str, str] = {}
    if texts["result"] and texts["result"] not in RESULTS:
        mistakes["result"] = "mistake.choice"
    wanted = Filter(
        actor=texts["person"] or None,
        action=texts["action"] or None,
        subject=texts["subject"] or None,
        result=texts["result"] or None,
        since=day(texts, "since", 0, desk.zone, mistakes),
        until=day(texts, "until", 1, desk.zone, mistakes),
    )
    return Asked(texts, wanted, mistakes)


@get("/audit", action="audit.view")
async def trail(request: Web, desk: TheDesk) -> Page:
    """The search form and a page of events. An event's id leads straight to it."""
    query = {key: str(value) for key, value in request.query_params.items()}
    asked = read(query, desk)
    if (event := cursor(asked.texts["subject"], "evt")) is not None:
        return lead_to(request, f"/audit/{to_typeid('evt', event)}")
    page = audit.Page([], None, partial=False)
    async with desk.store.tx("console audit") as tx:
        if not asked.mistakes:
            before = cursor(query.get("before"), "evt")
            page = await audit.search(tx, asked.wanted, before, limits.PAGE_DEFAULT)
        actions, standing = await audit.actions(tx), await audit.standing(tx)
    older = asked.kept | {"before": to_typeid("evt", page.next_before)} if page.next_before else None
    context: dict[str, Any] = {
        "asked": asked,
        "page": page,
        "actions": actions,
        "results": RESULTS,
        "standing": standing,
        "href": href,
        "exported": urlencode(asked.kept),
        "most": limits.AUDIT_EXPORT,
        "older": urlencode(older) if older else None,
        "newest": urlencode(asked.kept) if "before" in query else None,
    }
    return await desk.page(request, "audit.html", context)


@get("/audit/{public_id:str}", action="audit.view")
async def event(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """One event."""
    async with desk.store.tx("console audit event") as tx:
        found = await audit.find(tx, id_from("evt", public_id))
    if found is None:
        raise NotFoundException
    return await desk.page(request, "audit_event.html", {"event": found, "href": href})


def href(subject: str) -> str:
    """Where a subject has a page of its own; else its history."""
    prefix = subject.partition("_")[0]
    try:
        from_typeid(prefix, subject)
    except BadIdError:
        prefix = ""
    if prefix in _PAGES:
        return f"/{_PAGES[prefix]}/{subject}"
    return "/audit?" + urlencode({"subject": subject})


# -- export


@get("/audit/export", action="audit.export")
async def export(request: Web, desk: TheDesk) -> Response[Any]:
    """What a search finds, newest first, at most AUDIT_EXPORT events; that it was taken is itself an event.

    A last row with the word `more` and an id says that there are more, before that id.
    """
    query = {key: str(value) for key, value in request.query_params.items()}
    asked, form = read(query, desk), query.get("format", "csv")
    if asked.mistakes or form not in _TYPES:
        raise HTTPException("the search cannot be read", status_code=400)
    async with desk.store.tx("console audit export") as tx:
        named = ", ".join(asked.kept) or "everything"
        await audit.append(
            tx, person_of(request), "audit.exported", "audit", f"{form}: {named}", origin_of(request)
        )
    write = _csv if form == "csv" else _jsonl
    name = f"audit-{desk.clock.now():%Y%m%d-%H%M%S}.{form}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Stream(write(desk.store, asked.wanted), media_type=_TYPES[form], headers=headers)


async def _found(store: Store, wanted: Filter) -> AsyncIterator[list[dict[str, Any]]]:
    """Rows in batches, and after them what is left out."""
    before, left = None, limits.AUDIT_EXPORT
    while left:
        async with store.tx("console audit export") as tx:
            page = await audit.search(tx, wanted, before, min(left, limits.AUDIT_PAGE))
        yield [_row(each) for each in page.events]
        before, left = page.next_before, left - len(page.events)
        if before is None:
            return
    yield [dict.fromkeys(_COLUMNS) | {"id": to_typeid("evt", before), "action": "more"}] if before else []


def _row(event: Event) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(event, name) for name in _COLUMNS}
    return found | {"id": to_typeid("evt", event.id), "at": event.at.astimezone(UTC).isoformat()}


async def _jsonl(store: Store, wanted: Filter) -> AsyncIterator[bytes]:
    async for rows in _found(store, wanted):
        yield b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


async def _csv(store: Store, wanted: Filter) -> AsyncIterator[bytes]:
    """With the mark that makes spreadsheets read UTF-8."""
    yield "\ufeff".encode() + _lines([dict(zip(_COLUMNS, _COLUMNS, strict=True))])
    async for rows in _found(store, wanted):
        yield _lines(rows)


def _lines(rows: list[dict[str, Any]]) -> bytes:
    written = io.StringIO()
    out = csv.writer(written)
    out.writerows([[_cell(row[name]) for name in _COLUMNS] for row in rows])
    return written.getvalue().encode()


def _cell(value: object) -> str:
    """A cell that no spreadsheet computes."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
