"""Erasure: what is destroyed, what stays, when it is refused; and that no restore brings anybody back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from tests.support.platform import FINE, Platform, opened
from tests.support.postgres import Database
from tillkeeper import audit, ledger, parties, payments, wiring
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.base.settings import Settings
from tillkeeper.parties import Newcomer, Register, RegisterError
from tillkeeper.payments import Till
from tillkeeper.payments.commands import RefundPayment, SendMoney, TopUp, Withdraw
from tillkeeper.store import Store
from tillkeeper.vault import ErasedError, Sealed


@pytest.fixture
async def platform(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Platform]:
    async with opened(store, clock, tmp_path) as made:
        yield made


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return Register(tmp_path / "keys")


async def person(platform: Platform, reference: str = "wang") -> UUID:
    """Somebody with a wallet, a phone and an id number."""
    newcomer = Newcomer(new_id(), "王小明", reference, "+8613812345678", "11010519491231002X")
    async with platform.store.tx("test") as tx:
        await parties.add_customer(tx, platform.vault, newcomer, platform.clock.now())
        await payments.open_wallets(tx, newcomer.id, ["CNY"], None, platform.clock.now())
    return newcomer.id


async def erase(platform: Platform, register: Register, who: UUID) -> Any:
    async with platform.store.tx("test") as tx:
        return await payments.erase_customer(
            tx, register, who, "ticket 4711", platform.clock, actor="anna", origin="here"
        )


async def seen(platform: Platform, who: UUID) -> parties.Customer:
    async with platform.store.tx("test") as tx:
        return (await parties.customers(tx, platform.vault, [who]))[who]


async def spent(platform: Platform) -> tuple[UUID, UUID, Any]:
    """A customer who topped up and paid it all to a shop; the payment."""
    who, shop = await person(platform), await platform.merchant(fee_bps=0)
    said = await platform.ask(TopUp(who, FINE, "CNY"))
    await platform.settle(said.id, accepted=True)
    return who, shop, await platform.pay(who, shop, FINE, note="happy birthday, 王小明", reference="order-1")


async def test_key_cells_and_tags_go_and_the_books_stay(
    platform: Platform, register: Register, admin: psycopg.AsyncConnection
) -> None:
    who, shop, paid = await spent(platform)
    before = await seen(platform, who)
    statement = await lines(platform, who)
    assert not isinstance(await erase(platform, register, who), Refusal)
    after = await seen(platform, who)
    assert (after.state, after.name, after.phone, after.id_number, after.reference) == (
        "erased",
        "",
        "",
        "",
        None,
    )
    assert isinstance(after.name, Sealed)
    with pytest.raises(ErasedError):
        await platform.vault.open(after.name)
    assert before.name == "王**"
    row = await (await admin.execute("SELECT * FROM parties.customers WHERE id = %s", (who,))).fetchone()
    assert row is not None
    assert not any(value for value in row if isinstance(value, bytes))
    for field, text in (("name", "王小明"), ("phone", "+8613812345678"), ("id_number", "11010519491231002X")):
        async with platform.store.tx("test") as tx:
            assert await parties.customers_by(tx, platform.vault, field, text, 10) == []
    assert await lines(platform, who) == statement
    payment = await platform.payment(paid.id)
    assert (payment.note, payment.reference, payment.captured) == (None, "order-1", FINE)
    assert await platform.balanced()
    assert (await platform.wallet(shop)).balance == FINE
    assert not isinstance(
        await parties_again(platform), Refusal
    )  # the same person may come again, as somebody new


async def parties_again(platform: Platform) -> Any:
    return await person(platform)


async def lines(platform: Platform, who: UUID) -> list[Any]:
    async with platform.store.tx("test") as tx:
        ((_, account),) = await payments.wallets_with_accounts(tx, [who])
        return list(await ledger.statement(tx, account.id, None, 10))


async def test_it_is_on_record_inside_and_outside(platform: Platform, register: Register) -> None:
    who = await person(platform)
    await erase(platform, register, who)
    (line,) = register.read()
    assert (line.customer, line.actor, line.reason) == (who, "anna", "ticket 4711")
    assert register.path.stat().st_mode & 0o777 == 0o600
    async with platform.store.tx("test") as tx:
        assert await parties.erasure_of(tx, who) == line
        (event,) = await audit.of(tx, to_typeid("cus", who))
    assert (event.action, event.actor, event.reason, event.origin) == (
        "customer.erased",
        "anna",
        "ticket 4711",
        "here",
    )
    assert "王" not in register.path.read_text()


async def test_who_was_erased_takes_part_in_nothing(platform: Platform, register: Register) -> None:
    who, shop, paid = await spent(platform)
    other = await platform.customer()
    await erase(platform, register, who)
    for command in (
        TopUp(who, 5, "CNY"),
        Withdraw(who, 5, "CNY"),
        SendMoney(other, who, 5, "CNY"),
        SendMoney(who, other, 5, "CNY"),
        RefundPayment(paid.id, None, "broken"),
    ):
        said = await platform.ask(command)
        assert (said.status, said.code) == (409, "customer_erased"), command
    assert (await platform.pay(who, shop)).code == "customer_erased"
    with pytest.raises(Refused) as refused:
        async with platform.store.tx("test") as tx:
            await parties.set_customer_state(tx, who, "active")
    assert refused.value.refusal.code == "customer_erased"
    assert (await seen(platform, who)).erased
    assert await platform.balanced()


# -- refused


async def test_money_and_payments_under_way_keep_a_customer(platform: Platform, register: Register) -> None:
    who, shop = await person(platform), await platform.merchant()
    top_up = await platform.ask(TopUp(who, FINE, "CNY"))
    assert (await erase(platform, register, who)).code == "payments_open"
    await platform.settle(top_up.id, accepted=True)
    refusal = await erase(platform, register, who)
    assert (refusal.code, refusal.detail) == ("money_in_wallets", "CN¥12.34 must be withdrawn or sent first")
    await platform.pay(who, shop, FINE, manual=True)
    assert (await erase(platform, register, who)).code == "payments_open"
    assert not register.path.exists()
    assert (await seen(platform, who)).name == "王**"
    async with platform.store.tx("test") as tx:
        events = await audit.of(tx, to_typeid("cus", who))
    assert [(each.action, each.reason) for each in events] == [
        ("customer.erased", code) for code in ("payments_open", "money_in_wallets", "payments_open")
    ]


@pytest.mark.parametrize(
    ("stands_before", "command"), [("_book", SendMoney), ("_write", SendMoney), ("_write", TopUp)]
)
async def test_who_is_paid_at_this_very_moment_is_not_erased(
    platform: Platform,
    register: Register,
    monkeypatch: pytest.MonkeyPatch,
    stands_before: str,
    command: type[SendMoney | TopUp],
) -> None:
    who, payer = await person(platform), await platform.customer()
    arrived, go_on, goes_on = asyncio.Event(), asyncio.Event(), getattr(Till, stands_before)

    async def slowly(*given: Any) -> Any:
        arrived.set()
        await go_on.wait()
        return await goes_on(*given)

    monkeypatch.setattr(Till, stands_before, slowly)
    asked = TopUp(who, FINE, "CNY") if command is TopUp else SendMoney(payer, who, FINE, "CNY")
    paying = asyncio.ensure_future(platform.ask(asked))
    await arrived.wait()
    erasing = asyncio.ensure_future(erase(platform, register, who))
    done, _ = await asyncio.wait([erasing], timeout=0.3)
    assert not done, "the erasure did not wait for the payment"
    go_on.set()
    assert (await paying).status == 201
    assert (await erasing).code in {"money_in_wallets", "payments_open"}
    assert not (await seen(platform, who)).erased


async def test_a_turn_that_does_not_end_is_not_waited_for_long(
    platform: Platform, register: Register, admin: psycopg.AsyncConnection
) -> None:
    who = await person(platform)
    await admin.execute("SELECT pg_advisory_lock_shared(hashtext('payments.leaving'))")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        await erase(platform, register, who)
    assert not register.path.exists()
    await admin.execute("SELECT pg_advisory_unlock_all()")
    assert not isinstance(await erase(platform, register, who), Refusal)


async def test_a_legal_hold_refuses_and_says_why(platform: Platform, register: Register) -> None:
    who = await person(platform)

    async def hold(reason: str) -> Any:
        async with platform.store.tx("test") as tx:
            return await parties.place_hold(tx, who, reason, platform.clock, actor="court clerk")

    async def release() -> Refusal | None:
        async with platform.store.tx("test") as tx:
            return await parties.release_hold(tx, who, "case closed", platform.clock, actor="anna")

    assert (await release()).code == "no_legal_hold"  # type: ignore[union-attr]
    assert not isinstance(await hold("order 12 C 345/26"), Refusal)
    for refusal in (await erase(platform, register, who), await hold("another")):
        assert refusal.code == "legal_hold"
        assert refusal.detail == "held since 2026-04-15 by court clerk: order 12 C 345/26"
    assert await release() is None
    assert not isinstance(await erase(platform, register, who), Refusal)
    assert (await hold("too late")).code == "customer_erased"
    assert (await erase(platform, register, who)).code == "customer_erased"
    assert (await erase(platform, register, new_id())).code == "unknown_customer"


async def test_of_two_at_once_one_does_it(platform: Platform, register: Register) -> None:
    who = await person(platform)
    said = await asyncio.gather(*(erase(platform, register, who) for _ in range(4)))
    assert sorted(type(each).__name__ for each in said) == ["Erasure", "Refusal", "Refusal", "Refusal"]
    assert len(register.read()) == 1


# -- restored


class Crash(Exception):  # noqa: N818 - what it is
    pass


async def test_an_erasure_that_did_not_commit_is_done_at_the_next_start(
    platform: Platform, register: Register
) -> None:
    who = await person(platform)
    with pytest.raises(Crash):
        async with platform.store.tx("test") as tx:
            await payments.erase_customer(tx, register, who, "ticket", platform.clock, actor="anna")
            raise Crash
    assert (await seen(platform, who)).name == "王**"
    assert await parties.replay(platform.store, register) == [who]
    assert (await seen(platform, who)).erased
    assert await parties.replay(platform.store, register) == []


@asynccontextmanager
async def copy_of(database: Database, name: str) -> AsyncIterator[Database]:
    """The database as a backup has it: nobody may be connected to it meanwhile."""
    url = database.admin_url.replace(f"/{database.name}?", "/postgres?")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as admin:
        names = sql.Identifier(name), sql.Identifier(database.name)
        await admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(*names))
        try:
            yield Database(
                name,
                database.app_url.replace(f"/{database.name}?", f"/{name}?"),
                database.admin_url.replace(f"/{database.name}?", f"/{name}?"),
            )
        finally:
            await admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(names[0]))


async def test_a_restored_backup_is_erased_again(
    database: Database, clock: ManualClock, tmp_path: Path, register: Register
) -> None:
    async with Store.opened(database.app_url) as store, opened(store, clock, tmp_path) as platform:
        who, _, _ = await spent(platform)
        stays = await person(platform, "li")
    async with copy_of(database, f"{database.name}_restored") as restored:
        async with Store.opened(database.app_url) as store, opened(store, clock, tmp_path) as platform:
            await erase(platform, register, who)
        async with Store.opened(restored.app_url) as store, opened(store, clock, tmp_path) as platform:
            alive = await seen(platform, who)
            assert isinstance(alive.name, Sealed)
            assert await platform.vault.open(alive.name) == "王小明"  # the backup brought the key back
            assert await parties.replay(store, register) == [who]
            dead = await seen(platform, who)
            assert (dead.state, dead.name, dead.reference) == ("erased", "", None)
            async with store.tx("test") as tx:
                events = await audit.of(tx, to_typeid("cus", who))
                assert [each.action for each in events] == ["customer.erased_again"]
                assert await parties.erasure_of(tx, who) == register.read()[0]
                ((_, account),) = await payments.wallets_with_accounts(tx, [who])
            assert (await seen(platform, stays)).name == "王**"
            assert account.balance == 0
            assert await platform.balanced()
            assert await parties.replay(store, register) == []


async def test_an_older_copy_with_money_and_a_hold_is_erased_all_the_same(
    platform: Platform, register: Register
) -> None:
    """The older copy does not know that the money was paid out and the hold released since."""
    who = await platform.customer(funds=500)
    async with platform.store.tx("test") as tx:
        await parties.place_hold(tx, who, "old order", platform.clock, actor="anna")
    await register.add([parties.Erasure(who, "anna", "ticket", platform.clock.now())])
    assert await parties.replay(platform.store, register) == [who]
    assert (await seen(platform, who)).erased
    assert (await platform.wallet(who)).balance == 500
    assert await platform.balanced()


async def test_a_lost_register_is_made_anew_of_the_table(platform: Platform, register: Register) -> None:
    one, two = await person(platform, "1"), await person(platform, "2")
    await erase(platform, register, one)
    register.path.unlink()
    await erase(platform, register, two)
    assert await parties.replay(platform.store, register) == []
    assert {each.customer for each in register.read()} == {one, two}


async def test_a_line_cut_short_by_a_crash_is_no_erasure(platform: Platform, register: Register) -> None:
    one, two = await person(platform, "1"), await person(platform, "2")
    await erase(platform, register, one)
    with register.path.open("ab") as file:
        file.write(b'{"customer":"cus_01')
    assert [each.customer for each in register.read()] == [one]
    await erase(platform, register, two)
    assert [each.customer for each in register.read()] == [one, two]


async def test_a_damaged_register_is_never_passed_over(platform: Platform, register: Register) -> None:
    await erase(platform, register, await person(platform))
    register.path.write_bytes(b"what?\n" + register.path.read_bytes())
    with pytest.raises(RegisterError, match=r"erasures\.jsonl, line 1: damaged"):
        await parties.replay(platform.store, register)


async def test_the_register_comes_before_the_commit(platform: Platform, register: Register) -> None:
    who = await person(platform)
    register.path.parent.chmod(0o500)
    register.path.mkdir()  # nothing can be appended to a folder, not even by root
    with pytest.raises(Exception, match="cannot be written"):
        await erase(platform, register, who)
    assert (await seen(platform, who)).name == "王**"


async def test_api_and_console_begin_with_the_register(
    platform: Platform, database: Database, register: Register, tmp_path: Path
) -> None:
    chosen = Settings(
        home=tmp_path / "home",
        keys=tmp_path / "keys",
        database_url=database.app_url,
        admin_database_url=database.admin_url,
    )
    for building in (wiring.api, wiring.console):
        who = await person(platform, building.__name__)
        await register.add([parties.Erasure(who, "anna", "ticket", platform.clock.now())])
        async with building(chosen):
            assert (await seen(platform, who)).erased
    register.path.write_bytes(b"what?\n")
    for building in (wiring.api, wiring.console):
        with pytest.raises(RegisterError):
            async with building(chosen):
                pytest.fail("it began although nobody knows who was erased")
