"""Customers and merchants: who they are, sealed, and whether they may take part; reveal, legal hold, erasure."""

from tillkeeper.parties.erasure import (
    Register,
    RegisterError,
    erase,
    erasure_of,
    may_erase,
    replay,
)
from tillkeeper.parties.holds import hold_on, place_hold, release_hold
from tillkeeper.parties.lookups import Lookups
from tillkeeper.parties.many import (
    add_customers,
    add_merchants,
    any_in_the_clear,
    customers_by_references,
    merchants_by_references,
    seal_in_the_clear,
)
from tillkeeper.parties.reveal import REVEALED, reveal
from tillkeeper.parties.rows import (
    add_customer,
    add_merchant,
    customer_by_reference,
    customer_page,
    customers,
    customers_by,
    is_newcomer,
    merchant_by_reference,
    merchant_page,
    merchants,
    send_standings,
    set_customer_state,
    set_merchant_state,
    standings,
)
from tillkeeper.parties.types import Customer, Erasure, LegalHold, Merchant, Newcomer, Standing

__all__ = [
    "REVEALED",
    "Customer",
    "Erasure",
    "LegalHold",
    "Lookups",
    "Merchant",
    "Newcomer",
    "Register",
    "RegisterError",
    "Standing",
    "add_customer",
    "add_customers",
    "add_merchant",
    "add_merchants",
    "any_in_the_clear",
    "customer_by_reference",
    "customer_page",
    "customers",
    "customers_by",
    "customers_by_references",
    "erase",
    "erasure_of",
    "hold_on",
    "is_newcomer",
    "may_erase",
    "merchant_by_reference",
    "merchant_page",
    "merchants",
    "merchants_by_references",
    "place_hold",
    "release_hold",
    "replay",
    "reveal",
    "seal_in_the_clear",
    "send_standings",
    "set_customer_state",
    "set_merchant_state",
    "standings",
]
