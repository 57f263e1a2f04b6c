"""The audit: an act stands with its transaction, is read newest first, and can be neither changed nor taken away."""

import psycopg
import pytest

from tillkeeper import audit
from tillkeeper.store import Store


async def test_an_act_is_read_back_as_it_was_written(store: Store) -> None:
    async with store.tx("test") as tx:
        await audit.append(tx, "wang", "customer.frozen", "cus_1", "asked by phone", "10.0.0.7")
    async with store.tx("test") as tx:
        (event,) = await audit.of(tx, "cus_1")
        assert await audit.of(tx, "cus_2") == []
    assert (event.actor, event.action, event.subject) == ("wang", "customer.frozen", "cus_1")
    assert (event.reason, event.origin) == ("asked by phone", "10.0.0.7")
    assert event.at.utcoffset() is not None


async def test_an_act_falls_with_its_transaction(store: Store) -> None:
    async def act_and_fail() -> None:
        async with store.tx("test") as tx:
            await audit.append(tx, "wang", "customer.frozen", "cus_1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await act_and_fail()
    async with store.tx("test") as tx:
        assert await audit.of(tx, "cus_1") == []


async def test_pages_walk_from_new_to_old_without_gap_or_repeat(store: Store) -> None:
    async with store.tx("test") as tx:
        for number in range(7):
            await audit.append(tx, "wang", f"act.{number}", "cus_1")
    seen, cursor = [], None
    async with store.tx("test") as tx:
        while page := await audit.of(tx, "cus_1", cursor, 3):
            seen += [event.action for event in page]
            cursor = page[-1].id
    assert seen == [f"act.{number}" for number in reversed(range(7))]


@pytest.mark.parametrize(
    "statement", [b"UPDATE audit.events SET actor = 'nobody'", b"DELETE FROM audit.events"]
)
async def test_the_application_may_not_change_the_past(store: Store, statement: bytes) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with store.tx("test") as tx:
            await tx.run(statement)
