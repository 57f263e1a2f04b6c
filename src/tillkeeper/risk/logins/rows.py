"""Runs the statements of logins."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.clock import from_us, to_us
from tillkeeper.base.ids import NIL
from tillkeeper.risk.logins.types import Agent, Login, Network, SettingChange, Verdict
from tillkeeper.risk.types import Event
from tillkeeper.store import Tx, columns, queries

_sql = queries(__package__, "queries.sql")


class Asked(msgspec.Struct, frozen=True):
    """A login that somebody answers for: `answers` so far, and whether one of them passed."""

    login: Login
    outcome: str
    answers: int
    passed: bool


class Answered(msgspec.Struct, frozen=True):
    """An answer to a login that was asked again."""

    id: UUID
    login: UUID
    passed: bool
    at: datetime


async def past(tx: Tx, customers: Sequence[UUID]) -> dict[UUID, list[Login]]:
    """What the customers' logins are compared with, the newest first."""
    found: dict[UUID, list[Login]] = {customer: [] for customer in customers}
    params = {
        "customers": columns.uuids(list(found)),
        "looked": limits.LOGINS_LOOKED,
        "compared": limits.LOGINS_COMPARED,
    }
    for row in await tx.tuples(_sql.past, params):
        found[row[0]].append(_login(NIL, row[0], row[1:]))
    return found


async def everybody(tx: Tx) -> list[Login]:
    """The newest accepted logins of all customers, in the order in which they were accepted."""
    rows = await tx.tuples(_sql.everybody, {"limit": limits.LOGINS_REMEMBERED})
    return [_login(NIL, row[0], row[1:]) for row in rows]


async def asked(tx: Tx, logins: Sequence[UUID]) -> dict[UUID, Asked]:
    """The logins of these ids."""
    rows = await tx.tuples(_sql.asked, {"logins": columns.uuids(logins)})
    return {
        row[0]: Asked(_login(row[0], row[1], row[4:15], succeeded=row[2]), row[3], row[15], row[16])
        for row in rows
    }


def _login(id_: UUID, customer: UUID, row: Sequence[Any], *, succeeded: bool = True) -> Login:
    at, ip, network, country, digest, browser, system, kind, device, latitude, longitude = row
    return Login(
        id_,
        to_us(at),
        customer,
        succeeded,
        ip,
        Network(network or "", country or ""),
        Agent(bytes(digest or b""), browser or "", system or "", kind or ""),
        device,
        latitude,
        longitude,
    )


async def write_logins(tx: Tx, decided: Sequence[tuple[Login, Verdict]]) -> None:
    """The logins of a turn."""
    logins, verdicts = [each[0] for each in decided], [each[1] for each in decided]
    names = ("network", "agent", "device", "hour", "place")
    await tx.run(
        _sql.write_logins,
        {
            **_of_logins(logins),
            "outcomes": columns.texts([each.outcome for each in verdicts]),
            "scores": columns.doubles([each.score for each in verdicts]),
            "reasons": columns.texts([",".join(each.reasons) for each in verdicts]),
            "known": columns.integers([each.known for each in verdicts]),
        }
        | {
            f"{name}_lifts": columns.doubles([each.lifts[n] for each in verdicts])
            for n, name in enumerate(names)
        },
    )


def _of_logins(logins: Sequence[Login]) -> Mapping[str, columns.Column]:
    return {
        "ids": columns.uuids([one.id for one in logins]),
        "ats": columns.times([from_us(one.at_us) for one in logins]),
        "customers": columns.uuids([one.customer for one in logins]),
        "succeeded": columns.booleans([one.succeeded for one in logins]),
        "ips": columns.texts([one.ip for one in logins]),
        "networks": columns.texts([one.network.name or None for one in logins]),
        "countries": columns.texts([one.network.country or None for one in logins]),
        "agents": columns.blobs([one.agent.digest or None for one in logins]),
        "browsers": columns.texts([one.agent.browser or None for one in logins]),
        "systems": columns.texts([one.agent.system or None for one in logins]),
        "kinds": columns.texts([one.agent.kind or None for one in logins]),
        "devices": columns.texts([one.device for one in logins]),
        "latitudes": columns.doubles([one.latitude for one in logins]),
        "longitudes": columns.doubles([one.longitude for one in logins]),
    }


async def write_answers(tx: Tx, answers: Sequence[Answered]) -> None:
    """Answers, in the order given."""
    await tx.run(
        _sql.write_answers,
        {
            "ids": columns.uuids([each.id for each in answers]),
            "logins": columns.uuids([each.login for each in answers]),
            "passed": columns.booleans([each.passed for each in answers]),
            "ats": columns.times([each.at for each in answers]),
        },
    )


async def write_changes(tx: Tx, changes: Sequence[SettingChange]) -> None:
    """Changes of settings, in the order given."""
    await tx.run(
        _sql.write_changes,
        {
            "ids": columns.uuids([each.id for each in changes]),
            "ats": columns.times([from_us(each.at_us) for each in changes]),
            "customers": columns.uuids([each.customer for each in changes]),
            "kinds": columns.texts([each.kind for each in changes]),
            "devices": columns.texts([each.device for each in changes]),
            "ips": columns.texts([each.ip for each in changes]),
            "networks": columns.texts([each.network.name or None for each in changes]),
            "countries": columns.texts([each.network.country or None for each in changes]),
        },
    )


async def events_after(tx: Tx, last: UUID, batch: int) -> AsyncIterator[list[Event]]:
    """Logins and changes of settings after an id, in order of arrival, in bounded batches; NIL: all."""
    while found := await tx.tuples(_sql.events_after, {"last": last, "count": batch}):
        yield [_event(row) for row in found]
        last = found[-1][0]


def _event(row: Sequence[Any]) -> Event:
    id_, event, at, customer, device, ip, network, country, succeeded, score, kind = row
    return Event(id_, event, to_us(at), customer, device, ip, network, country or "", succeeded, score, kind)


def login_event(login: Login, score: float) -> Event:
    """A login as the profiles take it in: equal to what events_after reads of it later."""
    net = login.network
    return Event(
        login.id, "login", login.at_us, login.customer, login.device, login.ip, net.name or None, net.country,
        login.succeeded, score,
    )  # fmt: skip


def change_event(change: SettingChange) -> Event:
    """A change of settings as the profiles take it in."""
    net = change.network
    return Event(
        change.id, "setting", change.at_us, change.customer, change.device, change.ip, net.name or None, net.country,
        kind=change.kind,
    )  # fmt: skip


async def person_past(tx: Tx, person: str) -> list[Login]:
    """What a sign-in of one of the platform's people is compared with."""
    rows = await tx.tuples(_sql.person_past, {"person": person, "limit": limits.LOGINS_COMPARED})
    return [_login(NIL, NIL, (*row, None, None, None)) for row in rows]


async def people_past(tx: Tx) -> list[tuple[str, Login]]:
    """The newest sign-ins of all of the platform's people, and whose they are."""
    rows = await tx.tuples(_sql.people_past, {"limit": limits.STAFF_LOGINS_REMEMBERED})
    return [(row[0], _login(NIL, NIL, (*row[1:], None, None, None))) for row in rows]


async def write_staff_login(tx: Tx, person: str, way: str, login: Login, verdict: Verdict) -> None:
    """One sign-in to the console."""
    await tx.run(
        _sql.write_staff_login,
        {
            "id": login.id,
            "at": from_us(login.at_us),
            "person": person,
            "way": way,
            "outcome": verdict.outcome,
            "score": verdict.score,
            "reasons": list(verdict.reasons),
            "known": verdict.known,
            "ip": login.ip,
            "network": login.network.name or None,
            "country": login.network.country or None,
            "agent": login.agent.digest or None,
            "browser": login.agent.browser or None,
            "system": login.agent.system or None,
            "kind": login.agent.kind or None,
        },
    )
