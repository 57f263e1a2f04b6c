"""What of the rules takes four eyes: putting a proposed rule set in force, after its backtest."""

from typing import Any, Final

import msgspec

from tillkeeper import access, risk
from tillkeeper.access import Approval
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import BadIdError, from_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.risk import Proposal
from tillkeeper.store import Tx


class RuleChange(msgspec.Struct, frozen=True):
    """Terms: put the rules of a proposal in force. `sha256`: of the rule set; `instead_of`: the version in force."""

    proposal: str
    rule_set: int
    sha256: str
    instead_of: int | None


def change_of(proposal: Proposal) -> RuleChange:
    """The terms of putting a proposal in force."""
    public = risk.proposal_id(proposal.id)
    return RuleChange(public, proposal.rule_set, proposal.sha256.hex(), proposal.base)


async def _present(tx: Tx, terms: RuleChange) -> Any:
    """Another rule set in force voids what was agreed to: the proposal was compared with the one before."""
    found = await _proposal(tx, terms)
    if isinstance(found, Refusal):
        return found
    active = await risk.activations(tx, 1)
    now = active[0].rule_set if active else None
    if found.active_since is not None:
        said = f"{terms.proposal} has been in force since {found.active_since:%Y-%m-%d %H:%M} UTC"
        return Refusal("approval_changed", said)
    if now != terms.instead_of:
        return _overtaken(terms, now)
    if found.backtest is None and await risk.has_history(tx):
        return Refusal(
            "backtest_missing",
            f"till risk backtest, or the rule's page, tries {terms.proposal} on history first",
        )
    return terms.sha256


async def _carry_out(tx: Tx, approval: Approval, terms: RuleChange) -> Refusal | None:
    """Bound to the proposal: a second time nothing happens. Refused when other rules came into force since it was given."""
    found = await _proposal(tx, terms)
    if isinstance(found, Refusal):
        return found
    who = f"{approval.asked_by}, {approval.decided_by}"
    if await risk.activate(tx, found.rule_set, SystemClock().now(), "people", who, found.id):
        return None
    found, active = await _proposal(tx, terms), await risk.activations(tx, 1)
    if isinstance(found, Proposal) and found.active_since is not None:
        return None
    return _overtaken(terms, active[0].rule_set if active else None)


def _overtaken(terms: RuleChange, now: int | None) -> Refusal:
    said = f"it was made from rule set {terms.instead_of}, and {now} is in force: propose it anew on that"
    return Refusal("approval_changed", said)


async def _proposal(tx: Tx, terms: RuleChange) -> Proposal | Refusal:
    try:
        found = await risk.proposal(tx, from_typeid(risk.PROPOSAL_PREFIX, terms.proposal))
    except BadIdError:
        found = None
    return found or Refusal("unknown_proposal", "till risk rules list shows them", "proposal")


ACTIVATE: Final = access.approvals.Deed("rules.activate", RuleChange, _present, _carry_out)
