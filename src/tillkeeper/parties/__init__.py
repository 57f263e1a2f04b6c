"""Customers and merchants: who they are and whether they may take part."""

from tillkeeper.parties.many import (
    Newcomer,
    add_customers,
    add_merchants,
    customers_by_references,
    merchants_by_references,
)
from tillkeeper.parties.rows import (
    add_customer,
    add_merchant,
    customer_by_reference,
    customer_page,
    customers,
    merchant_by_reference,
    merchant_page,
    merchants,
    send_standings,
    set_customer_state,
    set_merchant_state,
    standings,
)
from tillkeeper.parties.types import Customer, Merchant, Standing

__all__ = [
    "Customer",
    "Merchant",
    "Newcomer",
    "Standing",
    "add_customer",
    "add_customers",
    "add_merchant",
    "add_merchants",
    "customer_by_reference",
    "customer_page",
    "customers",
    "customers_by_references",
    "merchant_by_reference",
    "merchant_page",
    "merchants",
    "merchants_by_references",
    "send_standings",
    "set_customer_state",
    "set_merchant_state",
    "standings",
]
