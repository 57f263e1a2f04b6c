"""Leases: one holder at a time, renewed, given back, and taken over when its time is up."""

import asyncio

from tillkeeper.store import Store, leases


async def take(store: Store, who: str, seconds: float = 60) -> bool:
    async with store.tx("take") as tx:
        return await leases.try_take(tx, "job", who, seconds)


async def holder(store: Store) -> leases.Lease | None:
    async with store.tx("holder") as tx:
        return await leases.holder(tx, "job")


async def test_one_holds_and_renews_the_others_are_refused(store: Store) -> None:
    assert await holder(store) is None
    assert await take(store, "anna")
    assert not await take(store, "ben")
    first = await holder(store)
    assert await take(store, "anna")
    renewed = await holder(store)
    assert first is not None
    assert renewed is not None
    assert (renewed.holder, renewed.taken_at) == ("anna", first.taken_at)
    assert renewed.expires_at > first.expires_at


async def test_a_lease_not_renewed_is_taken_over(store: Store) -> None:
    assert await take(store, "anna", 0.05)
    await asyncio.sleep(0.1)
    assert await holder(store) is None
    assert await take(store, "ben")
    assert not await take(store, "anna")
    lease = await holder(store)
    assert lease is not None
    assert lease.holder == "ben"


async def test_a_lease_given_back_is_free_at_once_and_only_its_holder_gives_it(store: Store) -> None:
    assert await take(store, "anna")
    async with store.tx("give") as tx:
        await leases.give(tx, "job", "ben")
    assert not await take(store, "ben")
    async with store.tx("give") as tx:
        await leases.give(tx, "job", "anna")
    assert await take(store, "ben")


async def test_of_many_at_once_one_wins(store: Store) -> None:
    won = await asyncio.gather(*(take(store, f"agent {n}") for n in range(8)))
    assert sum(won) == 1


async def test_leases_of_different_jobs_do_not_meet(store: Store) -> None:
    assert await take(store, "anna")
    async with store.tx("take") as tx:
        assert await leases.try_take(tx, "another job", "ben")
