"""Cells open where they were made and nowhere else, whatever was done to them."""

import copy
import hmac
import json
import logging
import pickle
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.strongroom import bare_vault
from tillkeeper.vault import (
    BrokenCellError,
    CellError,
    DestroyedVersionError,
    ErasedError,
    Sealed,
    StaleKeysError,
    SubjectKey,
    UnknownVersionError,
    Vault,
    cells,
)
from tillkeeper.vault.cells import normal, version_of, version_of_tag

ROW = UUID("01900000-0000-7000-8000-000000000001")
NAME, PHONE, CODE = (f"shop.guests.{column}" for column in ("name", "phone", "code"))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.fixture(scope="module")
def vault() -> Vault:
    return bare_vault()


@pytest.fixture
def key(vault: Vault) -> SubjectKey:
    return vault.new_key()


def name_cell(vault: Vault, key: SubjectKey, text: str = "王小明") -> bytes:
    return vault.field("shop.guests", "name").seal(key, ROW, text)


@given(text=texts, row=st.uuids())
async def test_what_is_sealed_opens(text: str, row: UUID) -> None:
    vault = bare_vault()
    key, field = vault.new_key(), vault.field("shop.guests", "name")
    cell = field.seal(key, row, text)
    loaded = field.load(vault.subject_key(key.wrapped), row, cell)
    assert loaded is not None
    assert await vault.open(loaded) == text
    assert len(text.encode()) < 4 or text.encode() not in cell
    assert field.seal(key, row, text) != cell


@given(data=st.data(), text=texts)
def test_a_changed_or_cut_cell_never_opens(data: st.DataObject, text: str) -> None:
    vault = bare_vault(versions=2)
    key, field = vault.new_key(), vault.field("shop.guests", "name")
    cell = field.seal(key, ROW, text)
    place = data.draw(st.integers(0, len(cell) - 1))
    changed = bytearray(cell)
    changed[place] ^= data.draw(st.integers(1, 255))
    for broken in (bytes(changed), cell[:place], cell + b"\0", cell[place + 1 :]):
        with pytest.raises(CellError):
            field.unseal(key, ROW, broken)


async def test_a_cell_opens_at_its_place_only(vault: Vault, key: SubjectKey) -> None:
    cell = name_cell(vault, key)
    with pytest.raises(BrokenCellError):  # another row
        vault.field("shop.guests", "name").unseal(key, uuid4(), cell)
    with pytest.raises(BrokenCellError):  # another column of the row
        vault.field("shop.guests", "phone").unseal(key, ROW, cell)
    with pytest.raises(BrokenCellError):  # another class
        vault.field("shop.guests", "code").unseal(key, ROW, cell)
    with pytest.raises(BrokenCellError):  # another table
        vault.field("shop.notes", "said").unseal(key, ROW, cell)
    with pytest.raises(BrokenCellError):  # another customer's key
        vault.field("shop.guests", "name").unseal(vault.new_key(), ROW, cell)
    with pytest.raises(BrokenCellError):  # the same place in another installation
        other = bare_vault(seed=1)
        other.field("shop.guests", "name").unseal(other.subject_key(key.wrapped), ROW, cell)


def test_cells_of_rows_without_a_customer_open_at_their_place_only(vault: Vault) -> None:
    field = vault.field("shop.links", "secret")
    cell = field.seal(None, "front", "open sesame")
    assert field.unseal(None, "front", cell) == "open sesame"
    with pytest.raises(BrokenCellError):
        field.unseal(None, "back", cell)


def test_a_version_that_was_changed_in_a_cell_does_not_open_it() -> None:
    """Both versions exist, so only what is bound to the cell tells them apart."""
    vault = bare_vault(versions=2)
    key = vault.new_key()
    cell = name_cell(vault, key)
    assert version_of(cell) == 2
    with pytest.raises(BrokenCellError):
        vault.field("shop.guests", "name").unseal(key, ROW, cell[:5] + b"\1" + cell[6:])


def test_unknown_and_destroyed_versions_are_told_apart() -> None:
    new, old = bare_vault(versions=2), bare_vault()
    key = new.new_key()
    cell = name_cell(new, key)
    field = old.field("shop.guests", "name")
    with pytest.raises(UnknownVersionError, match="version 2"):
        field.unseal(old.subject_key(key.wrapped), ROW, cell)
    old._keyset._states["C2", "data", 2] = "destroyed"
    with pytest.raises(DestroyedVersionError, match="version 2"):
        field.unseal(old.subject_key(key.wrapped), ROW, cell)


def test_a_wrapped_key_that_was_cut_or_changed_is_noticed(vault: Vault, key: SubjectKey) -> None:
    cell, wrapped = name_cell(vault, key), key.wrapped
    assert wrapped is not None
    field = vault.field("shop.guests", "name")
    for broken in (
        wrapped[:-1],
        wrapped[:7],
        wrapped[:3],
        wrapped[:-1] + bytes([wrapped[-1] ^ 1]),
        b"\2" + wrapped[1:],
        b"\1\1" + wrapped[2:],
    ):
        with pytest.raises(BrokenCellError):
            field.unseal(vault.subject_key(broken), ROW, cell)


def test_an_erased_customer_opens_and_seals_nothing(vault: Vault, key: SubjectKey) -> None:
    cell, field = name_cell(vault, key), vault.field("shop.guests", "name")
    for gone in (None, b""):
        erased = vault.subject_key(gone)
        loaded = field.load(erased, ROW, cell)
        assert isinstance(loaded, Sealed)
        assert loaded.erased
        assert loaded == ""
        with pytest.raises(ErasedError):
            vault._open(loaded)
        with pytest.raises(ErasedError):
            field.seal(erased, ROW, "x")


def test_no_value_and_an_emptied_one_differ(vault: Vault, key: SubjectKey) -> None:
    field = vault.field("shop.guests", "phone")
    assert field.load(key, ROW, None) is None
    emptied = field.load(key, ROW, b"")
    assert emptied is not None
    assert emptied.erased


def test_a_column_with_customers_asks_for_the_key(vault: Vault) -> None:
    with pytest.raises(ValueError, match="hand it in"):
        vault.field("shop.guests", "name").seal(None, ROW, "x")


def test_only_declared_columns_are_fields(vault: Vault) -> None:
    with pytest.raises(KeyError):
        vault.field("shop.guests", "visits")


def test_old_keys_seal_nothing(vault: Vault) -> None:
    lonely = bare_vault()
    lonely._keyset._read_at = -1e9
    with pytest.raises(StaleKeysError):
        lonely.new_key()


# -- as it travels


def test_a_sealed_value_shows_its_mask_everywhere(
    vault: Vault, key: SubjectKey, caplog: pytest.LogCaptureFixture
) -> None:
    sealed = vault.field("shop.guests", "name").load(key, ROW, name_cell(vault, key))
    assert isinstance(sealed, Sealed)
    logging.getLogger("test").warning("%s %r", sealed, sealed)
    shown = [repr(sealed), f"{sealed:>8}", str({"name": sealed}), caplog.text, sealed + "!", sealed.upper()]
    assert all("王**" in text and "小明" not in text for text in shown)
    assert str(sealed) == "王**"
    assert json.loads(json.dumps({"name": sealed})) == {"name": "王**"}


def test_a_copy_that_leaves_the_process_is_only_the_mask(vault: Vault, key: SubjectKey) -> None:
    sealed = vault.field("shop.guests", "name").load(key, ROW, name_cell(vault, key))
    for copied in (pickle.loads(pickle.dumps(sealed)), copy.deepcopy(sealed)):
        assert type(copied) is str
        assert copied == "王**"


def test_a_cell_that_does_not_open_is_hidden_and_told(
    vault: Vault, key: SubjectKey, caplog: pytest.LogCaptureFixture
) -> None:
    field = vault.field("shop.guests", "name")
    sealed = field.load(key, uuid4(), name_cell(vault, key))
    assert sealed == "••••"
    assert NAME in caplog.text
    assert caplog.records[0].levelname == "ERROR"
    with pytest.raises(BrokenCellError) as caught:
        vault._open(sealed)
    assert NAME in str(caught.value.__notes__)


# -- tags


@given(text=texts)
def test_tags_ignore_how_a_text_is_written(text: str) -> None:
    field = bare_vault().field("shop.guests", "phone")
    for other in (text.upper().lower() if text.isascii() else text, f"  {text} ", " ".join(text)):
        assert field.tag(other) == field.tag(text)
    assert normal(normal(text)) == normal(text)


def test_tags_know_full_width_forms(vault: Vault) -> None:
    field = vault.field("shop.guests", "phone")
    assert field.tag("１３８ ０１２３") == field.tag("1380123")
    assert field.tag("Straße") == field.tag("STRASSE")


@given(key=st.binary(min_size=32, max_size=32), text=texts)
def test_a_tag_is_an_hmac(key: bytes, text: str) -> None:
    column = b"shop.guests.phone"
    index_key = hmac.digest(key, b"index|" + column, "sha256")
    expected = hmac.digest(index_key, cells.normal(text).encode(), "sha256")
    assert cells.tag(cells.index_key(key, column), 7, text, 32) == b"\0\0\0\7" + expected


def test_equal_texts_in_two_columns_have_nothing_in_common(vault: Vault) -> None:
    phone, name = vault.field("shop.guests", "phone").tag("x"), vault.field("shop.guests", "name").tag("x")
    assert phone[4:6] != name[4:]


def test_a_beacon_is_short_and_an_exact_tag_is_not(vault: Vault) -> None:
    assert len(vault.field("shop.guests", "name").tag("x")) == 4 + 2
    assert len(vault.field("shop.guests", "phone").tag("x")) == 4 + 16


def test_during_a_rotation_both_versions_are_looked_for() -> None:
    field = bare_vault(versions=2).field("shop.guests", "phone")
    old = bare_vault().field("shop.guests", "phone")
    assert field.tags("x") == {"tag": field.tag("x"), "other_tag": old.tag("x")}
    assert [version_of_tag(tag) for tag in field.tags("x").values()] == [2, 1]
    assert old.tags("x") == {"tag": old.tag("x"), "other_tag": old.tag("x")}


def test_a_column_without_search_has_no_tags(vault: Vault) -> None:
    with pytest.raises(ValueError, match="without a search"):
        vault.field("shop.guests", "code").tag("x")
