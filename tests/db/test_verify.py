"""`ledger.verify` finds a planted fault of each kind, names it and its account, and finds nothing else."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.support.books import TODAY, Books, account, bank, close, hold, pay
from tests.support.postgres import Database
from tillkeeper import ledger
from tillkeeper.base.ids import new_id
from tillkeeper.ledger import Difference, Op, Outcome
from tillkeeper.store import Store

Admin = psycopg.AsyncConnection


class Shop:
    """Books with everything in them that can go wrong: payments, holds in each state, a day, two currencies."""

    def __init__(self, store: Store) -> None:
        self.books = Books(store)
        self.bank, self.anna, self.ben = bank(), account(day_limit=1000), account()
        self.abroad, self.bank_abroad = account(currency="USD"), bank("USD")
        self.first, self.last = pay(self.anna, self.ben, 100), pay(self.anna, self.ben, 30)
        self.open_hold, self.captured_hold = hold(self.anna, self.ben, 50), hold(self.anna, self.ben, 40)

    async def fill(self) -> "Shop":
        await self.books.open(self.bank, self.anna, self.ben, self.abroad, self.bank_abroad)
        batches = [
            [pay(self.bank, self.anna, 1000), pay(self.bank_abroad, self.abroad, 700)],
            [self.first, pay(self.anna, self.ben, 20, day=TODAY), self.open_hold, self.captured_hold],
            [close(Op.SETTLE, self.captured_hold, 25), self.last],
        ]
        for batch in batches:
            assert set(await self.books.post(*batch)) == {Outcome.OK}
        return self


@pytest.fixture
async def shop(store: Store) -> Shop:
    return await Shop(store).fill()


async def test_right_books_have_no_differences(shop: Shop) -> None:
    report = await ledger.verify(shop.books.store)
    assert (report.balanced, report.differences, report.transfers) == (True, [], 6)
    assert {(each.currency, each.debit_side, each.credit_side) for each in report.totals} == {
        ("CNY", 1000, 1000),
        ("USD", 700, 700),
    }


async def _found(shop: Shop) -> list[Difference]:
    report = await ledger.verify(shop.books.store)
    assert not report.balanced
    return report.differences


async def _one(shop: Shop, admin: Admin, statement: str, *params: Any) -> Difference:
    """The one difference that a change by the superuser makes."""
    cursor = await admin.execute(statement.encode(), params)
    assert cursor.rowcount == 1
    [difference] = await _found(shop)
    return difference


def _facts(difference: Difference) -> tuple[str, str, UUID | None, int, int]:
    return difference.kind, difference.currency, difference.account, difference.stored, difference.expected


async def test_balance(shop: Shop, admin: Admin) -> None:
    found = await _one(
        shop, admin, "UPDATE ledger.accounts SET balance = balance + 1 WHERE id = %s", shop.abroad.id
    )
    assert _facts(found) == ("balance", "USD", shop.abroad.id, 701, 700)


async def test_balance_of_the_debit_side(shop: Shop, admin: Admin) -> None:
    found = await _one(
        shop, admin, "UPDATE ledger.accounts SET balance = balance - 1 WHERE id = %s", shop.bank.id
    )
    assert _facts(found) == ("balance", "CNY", shop.bank.id, 999, 1000)


async def test_version(shop: Shop, admin: Admin) -> None:
    found = await _one(
        shop, admin, "UPDATE ledger.accounts SET version = version + 1 WHERE id = %s", shop.ben.id
    )
    assert _facts(found) == ("version", "CNY", shop.ben.id, 5, 4)


@pytest.mark.parametrize(("column", "side"), [("debit_balance", "anna"), ("credit_balance", "ben")])
async def test_running_balance(shop: Shop, admin: Admin, column: str, side: str) -> None:
    found = await _one(
        shop, admin, f"UPDATE ledger.transfers SET {column} = {column} + 1 WHERE id = %s", shop.first.id
    )
    assert (found.kind, found.account) == ("running_balance", getattr(shop, side).id)
    assert found.stored == found.expected + 1
    assert str(shop.first.id) in found.what


async def test_gap(shop: Shop, admin: Admin) -> None:
    found = await _one(
        shop, admin, "UPDATE ledger.transfers SET credit_version = 9 WHERE id = %s", shop.last.id
    )
    assert _facts(found) == ("gap", "CNY", shop.ben.id, 9, 4)


_INSERT = """
INSERT INTO ledger.transfers (id, debit_account, credit_account, amount, kind, payment, debit_balance, credit_balance,
                              debit_version, credit_version, event_at, booked_at)
VALUES (%s, %s, %s, %s, 'test', gen_random_uuid(), %s, %s, %s, %s, now(), now())
"""


async def test_orphan(shop: Shop, admin: Admin) -> None:
    transfer = new_id()
    found = await _one(shop, admin, _INSERT, transfer, new_id(), new_id(), 5, -5, 5, 1, 1)
    assert (found.kind, found.account) == ("orphan", None)
    assert str(transfer) in found.what


async def test_currencies(shop: Shop, admin: Admin) -> None:
    """A transfer from yuan to dollars that is right in all else."""
    transfer = new_id()
    await admin.execute(
        "UPDATE ledger.accounts SET version = version + 1, balance = balance + CASE id WHEN %s THEN -5 ELSE 5 END"
        " WHERE id IN (%s, %s)",
        (shop.ben.id, shop.ben.id, shop.abroad.id),
    )
    found = await _one(shop, admin, _INSERT, transfer, shop.ben.id, shop.abroad.id, 5, 170, 705, 5, 2)
    assert (found.kind, str(transfer) in found.what) == ("currencies", True)


async def test_held(shop: Shop, admin: Admin) -> None:
    found = await _one(shop, admin, "UPDATE ledger.accounts SET held = held + 1 WHERE id = %s", shop.anna.id)
    assert _facts(found) == ("held", "CNY", shop.anna.id, 51, 50)


async def test_a_hold_that_is_gone(shop: Shop, admin: Admin) -> None:
    found = await _one(shop, admin, "DELETE FROM ledger.holds WHERE id = %s", shop.open_hold.id)
    assert _facts(found) == ("held", "CNY", shop.anna.id, 50, 0)


async def test_captured(shop: Shop, admin: Admin) -> None:
    found = await _one(
        shop, admin, "UPDATE ledger.holds SET captured = captured + 1 WHERE id = %s", shop.captured_hold.id
    )
    assert _facts(found) == ("captured", "CNY", shop.anna.id, 26, 25)


async def test_a_capture_of_no_hold(shop: Shop, admin: Admin) -> None:
    found = await _one(
        shop, admin, "UPDATE ledger.transfers SET hold = %s WHERE id = %s", new_id(), shop.first.id
    )
    assert _facts(found) == ("captured", "CNY", shop.anna.id, 0, 100)


async def test_limit(shop: Shop, admin: Admin) -> None:
    await admin.execute("ALTER TABLE ledger.accounts DROP CONSTRAINT within_limit")
    found = await _one(shop, admin, "UPDATE ledger.accounts SET lower_limit = 200 WHERE id = %s", shop.ben.id)
    assert _facts(found) == ("limit", "CNY", shop.ben.id, 175, 200)


async def test_day_spent(shop: Shop, admin: Admin) -> None:
    found = await _one(shop, admin, "UPDATE ledger.accounts SET day_spent = 0 WHERE id = %s", shop.anna.id)
    assert _facts(found) == ("day_spent", "CNY", shop.anna.id, 0, 20)


async def test_a_transfer_that_is_gone(shop: Shop, admin: Admin) -> None:
    await admin.execute("DELETE FROM ledger.transfers WHERE id = %s", [shop.first.id])
    found = await _found(shop)
    assert {each.kind for each in found} == {"balance", "version", "running_balance", "gap"}
    assert {each.account for each in found} == {shop.anna.id, shop.ben.id}
    assert _kinds_of(found, "balance") == {(shop.anna.id, 825, 925), (shop.ben.id, 175, 75)}


def _kinds_of(found: Sequence[Difference], kind: str) -> set[tuple[UUID | None, int, int]]:
    return {(each.account, each.stored, each.expected) for each in found if each.kind == kind}


async def test_the_command_line_says_it_with_its_exit_code(
    shop: Shop, database: Database, admin: Admin
) -> None:
    assert _till(database).returncode == 0
    await admin.execute("UPDATE ledger.accounts SET balance = balance + 1 WHERE id = %s", [shop.abroad.id])
    said = _till(database)
    assert said.returncode == 1
    found = json.loads(said.stdout)
    assert (found["balanced"], [each["kind"] for each in found["differences"]]) == (False, ["balance"])


def _till(database: Database) -> subprocess.CompletedProcess[str]:
    urls = {"TILL_DATABASE_URL": database.app_url, "TILL_ADMIN_DATABASE_URL": database.admin_url}
    command = [sys.executable, "-m", "tillkeeper", "ledger", "verify", "--json"]
    return subprocess.run(
        command, env=os.environ | urls, capture_output=True, text=True, check=False, timeout=60
    )
