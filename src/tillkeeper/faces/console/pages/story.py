"""One payment's story: what happened, in order, from every package that had a part in it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from tillkeeper import audit, ledger
from tillkeeper.audit import Event
from tillkeeper.base.ids import to_typeid
from tillkeeper.faces.console.names import Named, names_of
from tillkeeper.faces.console.pages.decision import DecisionView, read_decision
from tillkeeper.faces.console.render import Renderer, payment_id
from tillkeeper.faces.console.texts import Texts
from tillkeeper.ledger import Hold, Transfer
from tillkeeper.payments import Payment, Refund, Wallet, browse
from tillkeeper.payments.browse import Story
from tillkeeper.risk import cases
from tillkeeper.store import Tx
from tillkeeper.vault import Vault

_HOLDING: Final = frozenset({"challenged", "in_review", "authorized"})


class Happening(msgspec.Struct, frozen=True):
    """One entry of the timeline. `tone` as of a state; `more` says why or by whom."""

    at: datetime
    tone: str
    title: str
    more: str = ""


class Leg(msgspec.Struct, frozen=True):
    """A transfer with its two sides named; balances after it, and before it."""

    transfer: Transfer
    debit: str
    credit: str
    debit_side: bool  # the debit account counts debits: its balance grew
    credit_side: bool

    @property
    def debit_before(self) -> int:
        """The debit account's balance before."""
        change = self.transfer.amount if self.debit_side else -self.transfer.amount
        return self.transfer.debit_balance - change

    @property
    def credit_before(self) -> int:
        """The credit account's balance before."""
        change = self.transfer.amount if self.credit_side else -self.transfer.amount
        return self.transfer.credit_balance - change


async def read_story(tx: Tx, vault: Vault, row: Payment, renderer: Renderer) -> Mapping[str, Any]:
    """Everything the page of a payment shows."""
    story = await browse.story(tx, row.id)
    transfers, holds = await ledger.transfers_of(tx, row.id), await ledger.holds_of(tx, row.id)
    events = await audit.of(tx, payment_id(row.id))
    decision = await read_decision(tx, row.id, renderer)
    accounts = [account for each in transfers for account in (each.debit_account, each.credit_account)]
    wallets = await browse.wallets_by_account(tx, accounts)
    names = await names_of(tx, vault, [row.payer, row.payee, *[wallet.owner for wallet in wallets.values()]])
    sides = {id_: each.side for id_, each in (await ledger.accounts(tx, accounts)).items()}
    where = _where(row, story.refunds)
    case = (await cases.cases_of_payments(tx, [row.id])).get(row.id)
    return {
        "p": row,
        "case": to_typeid(cases.PREFIX, case) if case else None,
        "names": names,
        "story": story,
        "holds": holds,
        "legs": [_leg(each, wallets, names, sides, renderer) for each in transfers],
        "decision": decision,
        "happenings": _timeline(row, story, holds, events, decision, renderer),
        "where": where,
        "where_parts": [(tone, amount) for tone, _, amount in where],
    }


def _leg(
    transfer: Transfer,
    wallets: Mapping[UUID, Wallet],
    names: Mapping[UUID, Named],
    sides: Mapping[UUID, str],
    renderer: Renderer,
) -> Leg:
    def owner(account: UUID) -> str:
        wallet = wallets.get(account)
        if wallet is None or wallet.owner not in names:
            return renderer.texts.named("purpose", wallet.purpose if wallet else "unknown")
        return names[wallet.owner].name or renderer.texts("party.erased")

    debit, credit = transfer.debit_account, transfer.credit_account
    return Leg(
        transfer, owner(debit), owner(credit), sides.get(debit) == "debit", sides.get(credit) == "credit"
    )


def _where(row: Payment, refunds: list[Refund]) -> list[tuple[str, str, int]]:
    """Where the payment's money is now, (tone, text key, amount); nothing when none of it moved or is held."""
    held = row.amount if row.state in _HOLDING else 0
    if not held and not row.captured:
        return []
    fee = row.fee - sum(refund.fee_returned for refund in refunds)
    kept = row.captured - row.refunded - fee
    parts = [
        ("good", "payee", kept),
        ("main", "platform", fee),
        ("quiet", "payer", row.refunded),
        ("wait", "held", held),
    ]
    return [part for part in parts if part[2]]


def _timeline(
    row: Payment,
    story: Story,
    holds: list[Hold],
    events: list[Event],
    decision: DecisionView | None,
    renderer: Renderer,
) -> list[Happening]:
    found = [
        *_beginning(row, story, decision, renderer),
        *_moves(row, story, renderer),
        *_holds(row, holds, renderer),
        *_outside(story, renderer),
        *_acts(story, events, renderer),
    ]
    return sorted(found, key=lambda happening: happening.at)


def _beginning(
    row: Payment, story: Story, decision: DecisionView | None, renderer: Renderer
) -> Iterator[Happening]:
    t = renderer.texts
    yield Happening(
        row.created_at, "quiet", t("story.arrived", kind=t.named("kind", row.kind)), row.note or ""
    )
    if decision is not None:
        yield Happening(
            row.created_at, decision.outcome, t("story.decided." + decision.outcome), _in_short(decision, t)
        )
    first = story.moves[0].from_state if story.moves else row.state
    why = t.named("failure", row.failure) if row.failure and not story.moves else ""
    yield Happening(row.created_at, first, t("became." + first), why)


def _acts(story: Story, events: list[Event], renderer: Renderer) -> Iterator[Happening]:
    """What the audit knows beyond the moves: a verdict stands in both."""
    told = {(move.actor, move.reason) for move in story.moves}
    for event in events:
        if (event.actor, event.reason) not in told:
            title = renderer.texts(
                "story.audit", actor=event.actor, action=renderer.texts.named("act", event.action)
            )
            yield Happening(event.at, "quiet", title, event.reason)


def _in_short(decision: DecisionView, t: Texts) -> str:
    """The first reason; the others stand with the decision."""
    reasons = [reason.text or reason.rule for reason in decision.reasons]
    if len(reasons) < 2:
        return "".join(reasons)
    return t("story.and_more", first=reasons[0], count=len(reasons) - 1)


def _moves(row: Payment, story: Story, renderer: Renderer) -> Iterator[Happening]:
    t = renderer.texts
    for move in story.moves:
        by = t("story.by", actor=t.named("actor", move.actor))
        parts = [by, move.reason, renderer.money(move.amount, row.currency) if move.amount else ""]
        yield Happening(
            move.at, move.to_state, t("became." + move.to_state), " · ".join(part for part in parts if part)
        )


def _holds(row: Payment, holds: list[Hold], renderer: Renderer) -> Iterator[Happening]:
    t = renderer.texts
    for hold in holds:
        yield Happening(
            hold.held_at, "open", t("story.held", amount=renderer.money(hold.amount, row.currency))
        )
        if hold.closed_at is not None:
            taken = renderer.money(hold.captured, row.currency)
            yield Happening(hold.closed_at, "quiet", t("story.hold_closed." + hold.state, amount=taken))


def _outside(story: Story, renderer: Renderer) -> Iterator[Happening]:
    t = renderer.texts
    for attempt in story.rail_attempts:
        title = t("story.rail." + attempt.direction, rail=attempt.rail, state=t.named("rail", attempt.state))
        more = attempt.answer or t("story.tries", tries=attempt.tries)
        yield Happening(attempt.created_at, attempt.state, title, more)
    for sent in story.deliveries:
        host = urlsplit(sent.url).hostname or ""
        title = t("story.webhook", topic=sent.topic, host=host, state=t.named("delivery", sent.state))
        yield Happening(
            sent.created_at, sent.state, title, sent.last_answer or t("story.tries", tries=sent.tries)
        )
