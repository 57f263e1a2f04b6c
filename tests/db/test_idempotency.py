"""Idempotency keys: bound with their answer in the transaction of the effect, to one principal, once."""

import asyncio

import pytest
from psycopg import errors

from tests.support.books import NOON
from tillkeeper.base.ids import new_id
from tillkeeper.store import Answer, Key, Store, idempotency

ANNA, BEN = new_id(), new_id()
DONE = Answer(201, b'{"done": true}\x00\xff')


async def keep(store: Store, key: Key, answer: Answer = DONE) -> None:
    async with store.tx("keep") as tx:
        await idempotency.keep(tx, [key], [answer], NOON)


async def find(store: Store, *keys: Key) -> dict[int, idempotency.Known]:
    async with store.tx("find") as tx:
        return await idempotency.found(await idempotency.send(tx, keys))


async def test_an_answer_is_found_byte_for_byte_at_its_keys_place(store: Store) -> None:
    known, strange = Key(ANNA, "k1", b"hash"), Key(ANNA, "k2", b"hash")
    await keep(store, known)
    assert await find(store, strange, known) == {1: idempotency.Known(b"hash", DONE)}


async def test_keys_belong_to_their_principal(store: Store) -> None:
    await keep(store, Key(ANNA, "k", b"a"))
    assert await find(store, Key(BEN, "k", b"a")) == {}
    await keep(store, Key(BEN, "k", b"b"))
    assert [
        each.input_hash for each in (await find(store, Key(ANNA, "k", b""), Key(BEN, "k", b""))).values()
    ] == [
        b"a",
        b"b",
    ]


async def test_a_key_bound_twice_is_a_clash_and_the_first_stands(store: Store) -> None:
    key = Key(ANNA, "k", b"hash")
    await keep(store, key)
    with pytest.raises(errors.UniqueViolation) as raised:
        await keep(store, key, Answer(500, b""))
    assert idempotency.is_clash(raised.value)
    assert (await find(store, key))[0].answer == DONE


async def test_two_at_once_bind_one_key_and_one_clashes(store: Store) -> None:
    key = Key(ANNA, "k", b"hash")
    ends = await asyncio.gather(*(keep(store, key) for _ in range(4)), return_exceptions=True)
    clashes = [each for each in ends if each is not None]
    assert len(clashes) == 3
    assert all(idempotency.is_clash(each) for each in clashes)


async def test_two_with_the_same_keys_in_another_order_wait_and_do_not_deadlock(store: Store) -> None:
    keys = [Key(ANNA, f"k{n:03d}", b"hash") for n in range(200)]

    async def keep_all(some: list[Key]) -> None:
        async with store.tx("keep") as tx:
            await idempotency.keep(tx, some, [DONE] * len(some), NOON)

    ends = await asyncio.gather(keep_all(keys), keep_all(keys[::-1]), return_exceptions=True)
    assert sorted(type(each).__name__ for each in ends) == ["NoneType", "UniqueViolation"]


def test_other_violations_are_no_clash() -> None:
    assert not idempotency.is_clash(errors.UniqueViolation())
    assert not idempotency.is_clash(KeyError())
