"""The Merkle tree: the known answers of RFC 6962, and the same tree built in another way."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.merkle import leads_to
from tillkeeper.audit.tree import Frontier, leaf_hash, siblings

# Leaves and roots of the reference implementation's own test (google/certificate-transparency, merkle_tree_test.cc).
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def plain_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word by word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    return sha256(b"\1" + plain_root(leaves[:middle]) + plain_root(leaves[middle:])).digest()


def grown(leaves: list[bytes]) -> Frontier:
    frontier = Frontier()
    for each in leaves:
        frontier.append(leaf_hash(each))
    return frontier


def test_the_roots_are_those_of_the_reference() -> None:
    leaves = [bytes.fromhex(each) for each in LEAVES]
    assert grown([]).root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [grown(leaves[: n + 1]).root().hex() for n in range(8)] == ROOTS


@given(st.lists(st.binary(max_size=3), max_size=70))
def test_it_is_the_same_tree_however_it_is_built_and_wherever_it_is_taken_up(leaves: list[bytes]) -> None:
    assert grown(leaves).root() == plain_root(leaves)
    middle = len(leaves) // 2
    half = grown(leaves[:middle])
    taken_up = Frontier.read(middle, half.written())
    assert taken_up is not None
    for each in leaves[middle:]:
        taken_up.append(leaf_hash(each))
    assert taken_up.root() == plain_root(leaves)
    assert half.root() == plain_root(leaves[:middle])  # the copy grew, not the original


@given(st.integers(1, 130).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_a_path_leads_from_its_leaf_to_the_root_and_from_no_other(case: tuple[int, int]) -> None:
    size, index = case
    leaves = [b"%d" % n for n in range(size)]
    path = [grown(leaves[start:stop]).root() for start, stop in siblings(index, size)]
    assert leads_to(leaf_hash(leaves[index]), index, size, path, plain_root(leaves))
    assert not leads_to(leaf_hash(b"other"), index, size, path, plain_root(leaves))
    if size > 1:
        assert not leads_to(leaf_hash(leaves[index]), (index + 1) % size, size, path, plain_root(leaves))


@pytest.mark.parametrize(
    ("size", "raw"), [(3, b"x" * 32), (2, b"x" * 64), (1, b"x" * 31), (-1, b""), (0, b"x")]
)
def test_what_is_no_frontier_is_none(size: int, raw: bytes) -> None:
    assert Frontier.read(size, raw) is None
