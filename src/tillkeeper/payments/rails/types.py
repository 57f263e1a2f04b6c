"""What a rail is asked and what it may answer."""

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol
from uuid import UUID

import msgspec

Direction = Literal["in", "out"]


class RailAttempt(msgspec.Struct, frozen=True):
    """One order to a bank: collect `amount` minor units ("in", a top-up) or pay them out ("out", a withdrawal).

    `id` is what the bank recognises a repetition by. `instruction` steers the sandbox bank and means nothing elsewhere.
    """

    id: UUID
    direction: Direction
    amount: int
    currency: str
    instruction: str = ""


class RailAnswer(msgspec.Struct, frozen=True):
    """accepted: the money moves. rejected: it will never move. pending: the bank has the order and will decide.
    unknown: the bank never had the order. `text` is the bank's own words.
    """

    verdict: Literal["accepted", "rejected", "pending", "unknown"]
    text: str = ""


class Notice(msgspec.Struct, frozen=True):
    """A bank's word on an order, sent of its own accord; it may come late, twice, or never."""

    attempt: UUID
    accepted: bool
    text: str = ""


Listener = Callable[[Notice], Awaitable[None]]
"""Takes a bank's notices."""


class Rail(Protocol):
    """A bank. Its calls may take for ever or raise anything: the caller bounds the time and asks again."""

    async def submit(self, attempt: RailAttempt) -> RailAnswer:
        """Order the attempt. Repeated with the same id it has no second effect and gives the answer of the first."""
        ...

    async def query(self, attempt: UUID) -> RailAnswer:
        """What became of an attempt. `unknown` is final: a bank that gave it rejects the attempt if it still arrives
        (a submission may be slower than the question), or we could not give the money back on that word.
        """
        ...

    def listen(self, listener: Listener) -> None:
        """Where to take the bank's notices."""
        ...
