"""Who takes part in payments."""

from datetime import datetime
from uuid import UUID

import msgspec

ACTIVE = "active"
FROZEN = "frozen"
ERASED = "erased"


class Customer(msgspec.Struct, frozen=True):
    """A person with wallets. `state` is "active", "frozen" or "erased"; `reference` is the caller's own name for them.

    `name`, `phone` and `id_number` are Sealed values: texts that show the mask, an empty one once it was erased; None: never
    given.
    """

    id: UUID
    name: str
    phone: str | None
    id_number: str | None
    state: str
    reference: str | None
    created_at: datetime

    @property
    def erased(self) -> bool:
        """Whether everything that names this person was destroyed."""
        return self.state == ERASED


class Newcomer(msgspec.Struct, frozen=True):
    """A party to add, known to the caller by `reference`. In the clear: on its way into cells, never kept or shown.

    `phone` as base.personal.phone_number has it, `id_number` as id_number has it. A merchant has neither.
    """

    id: UUID
    name: str
    reference: str | None = None
    phone: str | None = None
    id_number: str | None = None

    def __repr__(self) -> str:
        """What a log may show."""
        return f"Newcomer({self.id})"


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
    erased: bool
    fee_bps: int


class LegalHold(msgspec.Struct, frozen=True):
    """Why somebody must not be erased, and until when that held."""

    id: UUID
    customer: UUID
    reason: str
    placed_by: str
    placed_at: datetime
    released_by: str | None
    released_at: datetime | None


class Erasure(msgspec.Struct, frozen=True):
    """Who was erased, by whom and why."""

    customer: UUID
    actor: str
    reason: str
    erased_at: datetime
