"""Everything that is known of one case: what a page or a command shows of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from tillkeeper.risk.cases import rows
from tillkeeper.risk.cases.graph import Picture
from tillkeeper.risk.cases.neighbours import neighbours
from tillkeeper.risk.cases.types import Case, CaseAlert, CaseEvent, Verdict
from tillkeeper.store import Tx


class Dossier(msgspec.Struct, frozen=True):
    """A case with what it is made of. `payments`: (payment, customer, payee) of its alerts, the newest first; `labels`: the
    newest word on each of them, fraud or not; `others`: the subject's other cases, the newest first.
    """

    case: Case
    alerts: Sequence[CaseAlert]
    events: Sequence[CaseEvent]
    verdicts: Sequence[Verdict]
    payments: Sequence[tuple[UUID, UUID, UUID]]
    labels: Mapping[UUID, bool]
    others: Sequence[Case]


async def dossier(tx: Tx, case: UUID) -> Dossier | None:
    """One case; None if there is none of this id."""
    found = await rows.find(tx, case)
    if found is None:
        return None
    payments = await rows.payments_of(tx, case)
    return Dossier(
        case=found,
        alerts=await rows.alerts_of(tx, case),
        events=await rows.events_of(tx, case),
        verdicts=await rows.verdicts_of(tx, case),
        payments=payments,
        labels=await rows.labels_of(tx, [each[0] for each in payments]),
        others=[each for each in await rows.cases_of(tx, found.subject) if each.id != case],
    )


async def vicinity(tx: Tx, found: Dossier, now: datetime) -> Picture:
    """Who is near the subject of a case; near a merchant first of all those whose payments to it were alerted about."""
    subject = found.case.subject
    payers = {customer: now for _, customer, payee in found.payments if payee == subject}
    return await neighbours(tx, subject, list(payers.items()), now)
