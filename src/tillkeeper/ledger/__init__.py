"""The books: accounts, transfers, holds. Double entry by construction; PostgreSQL's post_v1 is the only writer."""

from tillkeeper.ledger.rows import (
    accounts,
    balance_booked_by,
    balance_by_event,
    holds_of,
    limit_day,
    open_accounts,
    post,
    statement,
    totals,
    transfers_of,
)
from tillkeeper.ledger.types import Account, Entry, Hold, Line, NewAccount, Op, Outcome, Total, Transfer
from tillkeeper.ledger.verify import CurrencyTotal, Difference, Report, verify

__all__ = [
    "Account",
    "CurrencyTotal",
    "Difference",
    "Entry",
    "Hold",
    "Line",
    "NewAccount",
    "Op",
    "Outcome",
    "Report",
    "Total",
    "Transfer",
    "accounts",
    "balance_booked_by",
    "balance_by_event",
    "holds_of",
    "limit_day",
    "open_accounts",
    "post",
    "statement",
    "totals",
    "transfers_of",
    "verify",
]
