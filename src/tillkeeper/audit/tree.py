"""The Merkle tree of RFC 6962 (section 2.1), grown from the left. Pure."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
EMPTY: Final = sha256(b"").digest()
"""The root of a tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """A leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """What stands above two subtrees."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """All that must be remembered of a tree to go on: the roots of its perfect subtrees, the largest first.

    Of n leaves these are as many as n has ones in binary; memory does not grow beyond that.
    """

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self.peaks = list(peaks)

    @classmethod
    def read(cls, size: int, raw: bytes) -> "Frontier | None":
        """A frontier as `written`; None if these bytes are not one of this size."""
        if size < 0 or len(raw) != size.bit_count() * HASH_BYTES:
            return None
        return cls(size, [raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES)])

    def written(self) -> bytes:
        """The peaks in a row."""
        return b"".join(self.peaks)

    def copy(self) -> "Frontier":
        """One that can grow by itself."""
        return Frontier(self.size, self.peaks)

    def append(self, leaf: bytes) -> None:
        """One more leaf: it joins with the subtrees of its size, as a carry does in addition."""
        peaks, carries = self.peaks, self.size
        while carries & 1:
            leaf = node_hash(peaks.pop(), leaf)
            carries >>= 1
        peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root of the whole tree."""
        if not self.peaks:
            return EMPTY
        root = self.peaks[-1]
        for peak in self.peaks[-2::-1]:
            root = node_hash(peak, root)
        return root


def siblings(index: int, size: int) -> list[tuple[int, int]]:
    """The subtrees beside the way from a leaf up to the root, nearest first, as ranges [start, stop) of leaves.

    Their roots, in this order, are the inclusion proof. 0 <= index < size.
    """
    start, stop = 0, size
    found = []
    while stop - start > 1:
        middle = start + (1 << ((stop - start - 1).bit_length() - 1))
        if index < middle:
            found.append((middle, stop))
            stop = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over these leaves."""
    frontier = Frontier()
    for each in hashes:
        frontier.append(each)
    return frontier.root()
