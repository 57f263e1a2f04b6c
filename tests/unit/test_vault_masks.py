"""Masks show what they are meant to show, and never the value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.vault import MASKS, mask


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        ("name", "王小明", "王**"),
        ("name", "王明", "王**"),
        ("name", "欧阳小明", "欧阳**"),
        ("name", "欧阳", "欧**"),
        ("name", "王", "***"),
        ("name", "Anna Schmidt", "A. ***"),
        ("name", " Øystein ", "Ø. ***"),
        ("name", "12 Monkeys", "***"),
        ("name", "", "***"),
        ("phone", "+8613812345678", "138****5678"),
        ("phone", "13812345678", "138****5678"),
        ("phone", "１３８１２３４５６７８", "138****5678"),
        ("phone", "+442071838750", "442****8750"),
        ("phone", "5551234", "****"),
        ("identity", "11010519491231002X", "1***X"),
        ("identity", "12345", "***"),
        ("email", "anna@example.com", "a***@example.com"),
        ("email", "a@example.com", "***"),
        ("email", "anna", "***"),
        ("account", "DE89 3704 0044 0532 0130 00", "***3000"),
        ("account", "1234567", "***"),
        ("text", "whatever", "***"),
        ("secret", "hunter2", "••••"),
    ],
)
def test_masks(kind: str, text: str, shown: str) -> None:
    assert mask(kind, text) == shown


@pytest.mark.parametrize("kind", MASKS)
@given(text=st.text(max_size=40))
def test_a_mask_hides_at_least_half_of_what_it_shows_anything_of(kind: str, text: str) -> None:
    shown = mask(kind, text)
    assert "*" in shown or "•" in shown
    said = "".join(text.split())
    known = [letter for letter in shown.partition("@")[0] if letter not in "*•. "]
    assert not known or len(known) * 2 <= max(len(said), 2) or kind == "phone"
    if kind == "phone" and known:
        assert len([letter for letter in text if letter.isdecimal()]) >= len(known) + 4


@pytest.mark.parametrize("kind", MASKS)
def test_masks_do_not_tell_the_length(kind: str) -> None:
    assert len({len(mask(kind, "7" * length + "@x")) for length in range(12, 40)}) == 1
