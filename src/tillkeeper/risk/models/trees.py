"""LightGBM's trees as plain arrays, evaluated by compiled loops of our own.

So the api needs no LightGBM, a score of today can be computed again in years, and a turn is scored in less time: see
bench/scoring.py. Equal to LightGBM's own predictions and contributions (tests/unit/test_risk_models.py).

This file imports nothing of ours: Numba's cache of machine code watches the one file of the function that is called.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

_DEFAULT_LEFT: Final = 2
_MISSING_SHIFT: Final = 2
_MISSING_NAN: Final = 2
_MISSING_ZERO: Final = 1
_CATEGORICAL: Final = 1
BLOCK: Final = 64  # rows carried through the trees together: they and a tree stay in the first-level cache
DEEPEST: Final = 64  # leaves of a tree, and so nodes on the way to one

F = TypeVar("F", bound=Callable[..., Any])


class TreeError(ValueError):
    """Text that is no forest, or one of a kind that is not evaluated here."""


class Trees(NamedTuple):
    """All trees of a forest, nodes and leaves numbered together. A leaf is its own child, so walking on stays there.

    `roots`: first node of each tree; `depths`: steps to its deepest leaf. `blank`: 1 where a missing value goes left.
    `share`: the part of a node's training rows below each child. `value`: of a leaf; 0 of a node. `expected`: the mean raw
    score; `scale`: of the sum.
    """

    roots: NDArray[np.uint32]
    depths: NDArray[np.int32]
    feature: NDArray[np.uint32]
    threshold: NDArray[np.float64]
    blank: NDArray[np.bool_]
    child: NDArray[np.uint32]
    share: NDArray[np.float64]
    value: NDArray[np.float64]
    expected: float
    scale: float


def kernel(function: F) -> F:
    """Compile on first use, keep the machine code on disk."""
    return cast("F", numba.njit(cache=True, error_model="numpy", nogil=True)(function))


def read_trees(boosters: Sequence[str], features: int) -> Trees:
    """The forest of some boosters in LightGBM's text form; its raw score is the mean of theirs. Raises TreeError."""
    reader = _Reader(features)
    for text in boosters:
        reader.booster(text)
    return reader.trees(len(boosters))


class _Reader:
    """Collects trees, with their numbers shifted to stand in common arrays."""

    def __init__(self, features: int) -> None:
        self._features = features
        self._roots: list[int] = []
        self._depths: list[int] = []
        self._nodes: list[tuple[int, float, bool, tuple[int, int], tuple[float, float], float]] = []
        self._expected = 0.0

    def booster(self, text: str) -> None:
        """All trees of one booster."""
        head, *blocks = text.partition("\nend of trees")[0].split("\nTree=")
        if not head.startswith("tree\n") or not blocks:
            raise TreeError("this is not LightGBM's text form, or there is no tree in it")
        if "num_class=1\n" not in head:
            raise TreeError("only one class is scored")
        for block in blocks:
            try:
                self._tree(dict(line.split("=", 1) for line in block.splitlines()[1:] if "=" in line))
            except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
                raise TreeError(f"tree {len(self._roots)} cannot be read: {error!r}") from None

    def _tree(self, said: dict[str, str]) -> None:
        if said.get("num_cat", "0") != "0" or said.get("is_linear", "0") != "0":
            raise ValueError("categories and linear leaves are not evaluated")
        values = _floats(said["leaf_value"])
        if any(math.isinf(each) for each in values):
            raise ValueError("a leaf of it is infinite")
        first = len(self._nodes)
        self._roots.append(first)
        pairs = self._splits(said, first, len(values)) if len(values) > 1 else []
        self._depths.append(_depth(pairs))
        for n, value in enumerate(values):
            at = first + len(pairs) + n
            self._nodes.append((0, math.inf, True, (at, at), (1.0, 1.0), value))
        counts = _floats(said["leaf_count"]) if len(values) > 1 else [1.0]
        self._expected += sum(v * n for v, n in zip(values, counts, strict=True)) / sum(counts)

    def _splits(self, said: dict[str, str], first: int, leaves: int) -> list[tuple[int, int]]:
        """The nodes of a tree but its leaves, which follow; the pairs of children as the text has them."""
        feature, threshold = _ints(said["split_feature"]), _floats(said["threshold"])
        pairs = list(zip(_ints(said["left_child"]), _ints(said["right_child"]), strict=True))
        counts, leaf_counts = _floats(said["internal_count"]), _floats(said["leaf_count"])
        _check(feature, threshold, pairs, leaves, self._features)
        flags = _ints(said["decision_type"])
        for n, (left, right) in enumerate(pairs):
            below = [leaf_counts[~c] if c < 0 else counts[c] for c in (left, right)]
            places = [first + (len(pairs) + ~c if c < 0 else c) for c in (left, right)]
            self._nodes.append((
                feature[n], threshold[n], _missing_goes_left(flags[n], threshold[n]),
                (places[0], places[1]), (below[0] / counts[n], below[1] / counts[n]), 0.0,
            ))  # fmt: skip
        return pairs

    def trees(self, boosters: int) -> Trees:
        """What was collected."""
        feature, threshold, blank, child, share, value = zip(*self._nodes, strict=True)
        return Trees(
            np.array(self._roots, np.uint32),
            np.array(self._depths, np.int32),
            np.array(feature, np.uint32),
            np.array(threshold, np.float64),
            np.array(blank, np.bool_),
            np.array(child, np.uint32),
            np.array(share, np.float64),
            np.array(value, np.float64),
            self._expected / boosters,
            1.0 / boosters,
        )


def _depth(pairs: list[tuple[int, int]]) -> int:
    """Steps from the root to the deepest leaf."""
    level, deepest = [0] * len(pairs), 0
    for parent, pair in enumerate(pairs):
        deepest = max(deepest, level[parent] + 1)
        for child in pair:
            if child >= 0:
                level[child] = level[parent] + 1
    return deepest


def _ints(text: str) -> list[int]:
    return [int(part) for part in text.split()]


def _floats(text: str) -> list[float]:
    found = [float(part) for part in text.split()]
    if any(math.isnan(each) for each in found):
        raise ValueError("a number of it is not a number")
    return found


def _check(
    feature: list[int], threshold: list[float], pairs: list[tuple[int, int]], leaves: int, features: int
) -> None:
    """Every node and leaf but the root is the child of exactly one node with a smaller number: so every walk ends."""
    nodes = len(feature)
    if leaves > DEEPEST:
        raise ValueError(f"it has more than {DEEPEST} leaves")
    if nodes != leaves - 1 or len(threshold) != nodes or len(pairs) != nodes:
        raise ValueError("its lists have different lengths")
    if any(not 0 <= each < features for each in feature):
        raise ValueError("it splits by a feature that is not there")
    children = sorted(child for pair in pairs for child in pair)
    if children != [*range(-leaves, 0), *range(1, nodes)]:
        raise ValueError("its nodes are no tree")
    if any(0 <= child <= parent for parent, pair in enumerate(pairs) for child in pair):
        raise ValueError("its nodes go round in a circle")


def _missing_goes_left(flags: int, threshold: float) -> bool:
    """LightGBM's rule: a feature that was never missing in training is read as 0 when it is."""
    kind = (flags >> _MISSING_SHIFT) & 3
    if flags & _CATEGORICAL or kind == _MISSING_ZERO:
        raise ValueError("categories and zeros that mean missing are not evaluated")
    return bool(flags & _DEFAULT_LEFT) if kind == _MISSING_NAN else threshold >= 0.0


@kernel
def raw_scores(trees: Trees, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The raw score, in log-odds, of each row.

    All rows of a block take a step together, as many as the tree is deep: no branch is guessed wrong, and the steps of
    several rows overlap. Numbers without a sign spare a look at every place. Together four times as fast as LightGBM.
    """
    n, width = values.shape
    out = np.zeros(n)
    at = np.empty(BLOCK, np.uint32)
    cells, child = values.reshape(-1), trees.child.reshape(-1)
    for begin in range(0, n, BLOCK):
        rows = np.uint64(min(BLOCK, n - begin))
        for k in range(trees.roots.size):
            for i in range(rows):
                at[i] = trees.roots[k]
            for _ in range(trees.depths[k]):
                for i in range(rows):
                    node = np.uint64(at[i])
                    value = cells[np.uint64(begin + i) * np.uint64(width) + np.uint64(trees.feature[node])]
                    known = value == value  # noqa: PLR0124 - NaN is what differs from itself
                    right = np.uint64(not (value <= trees.threshold[node]))
                    right &= np.uint64(known) | np.uint64(not trees.blank[node])
                    at[i] = child[np.uint64(2) * node + right]
            for i in range(rows):
                out[begin + i] += trees.value[at[i]]
    for i in range(n):
        out[i] *= trees.scale
    return out


# -- contributions: TreeSHAP of Lundberg et al. 2018 (path dependent). A path is a list of (feature, share of rows that go this
# way when the feature is not known, whether this row does, weight of subsets of each size).


@kernel
def _extend(path: NDArray[np.float64], depth: int, zero: float, one: float, feature: int) -> None:
    path[depth, 0] = feature
    path[depth, 1] = zero
    path[depth, 2] = one
    path[depth, 3] = 1.0 if depth == 0 else 0.0
    for i in range(depth - 1, -1, -1):
        path[i + 1, 3] += one * path[i, 3] * (i + 1) / (depth + 1)
        path[i, 3] = zero * path[i, 3] * (depth - i) / (depth + 1)


@kernel
def _unwind(path: NDArray[np.float64], depth: int, at: int) -> None:
    """Take a feature that is met again out of the path."""
    zero, one, following = path[at, 1], path[at, 2], path[depth, 3]
    for i in range(depth - 1, -1, -1):
        if one != 0.0:
            before = path[i, 3]
            path[i, 3] = following * (depth + 1) / ((i + 1) * one)
            following = before - path[i, 3] * zero * (depth - i) / (depth + 1)
        else:
            path[i, 3] = path[i, 3] * (depth + 1) / (zero * (depth - i))
    for i in range(at, depth):
        for part in range(3):
            path[i, part] = path[i + 1, part]


@kernel
def _unwound_sum(path: NDArray[np.float64], depth: int, at: int) -> float:
    zero, one, following, total = path[at, 1], path[at, 2], path[depth, 3], 0.0
    for i in range(depth - 1, -1, -1):
        if one != 0.0:
            part = following * (depth + 1) / ((i + 1) * one)
            total += part
            following = path[i, 3] - part * zero * (depth - i) / (depth + 1)
        else:
            total += path[i, 3] * (depth + 1) / (zero * (depth - i))
    return total


@kernel
def _goes_left(trees: Trees, node: int, row: NDArray[np.float64]) -> bool:
    value = row[trees.feature[node]]
    if value == value:  # noqa: PLR0124
        return bool(value <= trees.threshold[node])
    return bool(trees.blank[node])


@kernel
def _add_leaf(path: NDArray[np.float64], depth: int, value: float, out: NDArray[np.float64]) -> None:
    for i in range(1, depth + 1):
        part = _unwound_sum(path, depth, i)
        out[int(path[i, 0])] += part * (path[i, 2] - path[i, 1]) * value


@kernel
def _push(
    todo: NDArray[np.float64],
    at: int,
    node: int,
    level: int,
    depth: int,
    zero: float,
    one: float,
    feature: int,
) -> None:
    todo[at, 0], todo[at, 1], todo[at, 2] = node, level, depth
    todo[at, 3], todo[at, 4], todo[at, 5] = zero, one, feature


@kernel
def _add_tree(
    trees: Trees,
    root: int,
    row: NDArray[np.float64],
    paths: NDArray[np.float64],
    todo: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Walk a whole tree. `todo`: (node, level, path's length, share, whether the row goes there, feature) still to be seen."""
    _push(todo, 0, root, 0, 0, 1.0, 1.0, -1)
    waiting = 1
    while waiting > 0:
        waiting -= 1
        node, level, depth = int(todo[waiting, 0]), int(todo[waiting, 1]), int(todo[waiting, 2])
        zero, one, feature = todo[waiting, 3], todo[waiting, 4], int(todo[waiting, 5])
        path = paths[level]
        for i in range(depth):
            for part in range(4):
                path[i, part] = paths[level - 1, i, part]
        _extend(path, depth, zero, one, feature)
        if trees.child[node, 0] == node:
            _add_leaf(path, depth, trees.value[node], out)
            continue
        feature, zero, one = trees.feature[node], 1.0, 1.0
        for i in range(1, depth + 1):
            if path[i, 0] == feature:
                zero, one = path[i, 1], path[i, 2]
                _unwind(path, depth, i)
                depth -= 1
                break
        left = _goes_left(trees, node, row)
        for side in range(2):
            taken = one if (side == 0) == left else 0.0
            share = trees.share[node, side] * zero
            _push(todo, waiting, trees.child[node, side], level + 1, depth + 1, share, taken, feature)
            waiting += 1


@kernel
def contributions(trees: Trees, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each feature adds to a row's raw score, in log-odds; the last column is what every row begins with."""
    n, width = values.shape
    out = np.zeros((n, width + 1))
    paths = np.empty((DEEPEST + 2, DEEPEST + 2, 4))
    todo = np.empty((DEEPEST + 2, 6))
    for i in range(n):
        for root in trees.roots:
            _add_tree(trees, root, values[i], paths, todo, out[i])
        for f in range(width):
            out[i, f] *= trees.scale
        out[i, width] = trees.expected
    return out
