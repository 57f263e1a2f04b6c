"""Who takes part in payments."""

from datetime import datetime
from uuid import UUID

import msgspec


class Customer(msgspec.Struct, frozen=True):
    """A person with wallets. `state` is "active" or "frozen"; `reference` is the caller's own name for them."""

    id: UUID
    name: str
    state: str
    reference: str | None
    created_at: datetime


class Merchant(msgspec.Struct, frozen=True):
    """A shop. `fee_bps`: the platform's share of each payment in hundredths of a percent. Place in degrees."""

    id: UUID
    name: str
    category: str
    state: str
    fee_bps: int
    latitude: float | None
    longitude: float | None
    reference: str | None
    created_at: datetime


class Standing(msgspec.Struct, frozen=True):
    """What a payment must know of a party."""

    id: UUID
    merchant: bool
    active: bool
    fee_bps: int
