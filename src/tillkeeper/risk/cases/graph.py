"""A picture of neighbours, thought out: which customers, devices, addresses, payees and accounts belong in it, and where each
stands. No input or output.

A customer and a payee are both parties: whoever is paid by one and pays another is one node. Nodes stand in columns by their
distance from where the picture begins; what ties nobody to anybody is left out.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from tillkeeper.base import limits

Kind = Literal["party", "device", "ip", "account"]
Key = tuple[Kind, str]
"""A node: its kind and its id or text."""

FARTHEST: Final = 4
"""Two hops from customer to customer, each over a thing that both are tied to."""


class Tie(msgspec.Struct, frozen=True):
    """A customer with something they used or somebody they paid. `kind`: device, ip, payee or account. `times`: how often."""

    kind: str
    entity: str
    customer: UUID
    last_at: datetime
    times: int

    @property
    def ends(self) -> tuple[Key, Key]:
        """The customer and the thing."""
        return party(self.customer), node_of(self.kind, self.entity)


class Node(msgspec.Struct, frozen=True):
    """A node in its place: column `level` (0: where the picture begins), row `place` (0: the topmost)."""

    kind: Kind
    entity: str
    level: int
    place: int

    @property
    def key(self) -> Key:
        """What the node is."""
        return self.kind, self.entity


class Edge(msgspec.Struct, frozen=True):
    """A customer and a thing they used or a payee, by their numbers in the picture; how often, and when last."""

    user: int
    thing: int
    times: int
    last_at: datetime


class Picture(msgspec.Struct, frozen=True):
    """What is drawn. `hubs`: what the start and so many others are tied to that it says nothing; `alone`: how many things of
    the start nobody else used; `cut`: whether there was more than fits.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    hubs: tuple[Key, ...]
    alone: int
    cut: bool


def party(id_: UUID) -> Key:
    """A customer's or payee's node."""
    return "party", str(id_)


def node_of(kind: str, entity: str) -> Key:
    """The node of a tie's thing."""
    if kind == "payee":
        return "party", entity
    assert kind in {"device", "ip", "account"}
    return kind, entity  # type: ignore[return-value] # one of the literals


def draw(start: Key, ties: Iterable[Tie], hubs: Collection[Key]) -> Picture:
    """The picture around a node of what ties say; hubs are named beside it."""
    ties = list(ties)
    joined = _joined(ties, set(hubs))
    near = _distances(start, joined)
    alone = sum(near[key] == 1 for key in _loose(near, joined))
    kept = _pruned(start, set(near), joined)
    chosen = _fitting(kept, near, joined)
    cut = len(chosen) < len(kept)
    nodes = _placed(_pruned(start, chosen, joined) if cut else chosen, near, joined)
    numbers = {node.key: n for n, node in enumerate(nodes)}
    edges = [
        Edge(numbers[tie.ends[0]], numbers[tie.ends[1]], tie.times, tie.last_at)
        for ends, tie in joined.items()
        if numbers.keys() >= set(ends)
    ]
    ordered = sorted(edges, key=lambda each: (each.thing, each.user))
    own = {tie.ends[1] for tie in ties if tie.ends[0] == start}
    return Picture(tuple(nodes), tuple(ordered), tuple(sorted(own & set(hubs))), alone, cut)


Joined = Mapping[tuple[Key, Key], Tie]


def _joined(ties: Iterable[Tie], hubs: Collection[Key]) -> Joined:
    found: dict[tuple[Key, Key], Tie] = {}
    for tie in ties:
        one, other = tie.ends
        if other not in hubs and one != other:
            found[min(one, other), max(one, other)] = tie
    return found


def _neighbours(joined: Joined, among: Collection[Key] | None = None) -> dict[Key, set[Key]]:
    found: dict[Key, set[Key]] = defaultdict(set)
    for one, other in joined:
        if among is None or (one in among and other in among):
            found[one].add(other)
            found[other].add(one)
    return found


def _distances(start: Key, joined: Joined) -> dict[Key, int]:
    """How far each node is from the start, FARTHEST at most."""
    beside = _neighbours(joined)
    near, edge = {start: 0}, [start]
    for level in range(1, FARTHEST + 1):
        edge = sorted({each for key in edge for each in beside[key]} - near.keys())
        near |= dict.fromkeys(edge, level)
    return near


def _pruned(start: Key, kept: set[Key], joined: Joined) -> set[Key]:
    """Without what ties nobody to anybody: a customer who shares but one thing says something, a thing of one customer does
    not. Where the picture begins is always kept.
    """
    while loose := _loose(kept, joined) - {start}:
        kept = kept - loose
    return kept


def _loose(kept: Collection[Key], joined: Joined) -> set[Key]:
    users: dict[Key, int] = defaultdict(int)
    shares: set[Key] = set()
    for ends, tie in joined.items():
        if ends[0] in kept and ends[1] in kept:
            user, thing = tie.ends
            users[thing] += 1
            shares.add(user)
    return {key for key in kept if users[key] < 2 and key not in shares}


def _fitting(kept: Collection[Key], near: Mapping[Key, int], joined: Joined) -> set[Key]:
    """As many as a picture holds: the nearest first, of those the most tied."""
    beside = _neighbours(joined, kept)
    ordered = sorted(kept, key=lambda key: (near[key], -len(beside[key]), key))
    return set(ordered[: limits.NEIGHBOURS])


def _placed(chosen: Collection[Key], near: Mapping[Key, int], joined: Joined) -> list[Node]:
    """Each column in the order of what its nodes are tied to in the column before: few lines cross."""
    beside = _neighbours(joined, chosen)
    nodes: list[Node] = []
    places: dict[Key, int] = {}
    for level in range(FARTHEST + 1):
        column = [key for key in chosen if near[key] == level]
        column.sort(key=lambda key: (_middle(beside[key], places), key))
        for place, key in enumerate(column):
            places[key] = place
            nodes.append(Node(*key, level, place))
    return nodes


def _middle(beside: Iterable[Key], places: Mapping[Key, int]) -> float:
    known = [places[each] for each in beside if each in places]
    return sum(known) / len(known) if known else 0.0


def hubs_of(tied: Sequence[Tie]) -> set[Key]:
    """What more than TIE_HUB customers are tied to, among ties read with one more than that of each."""
    counts: dict[Key, int] = defaultdict(int)
    for tie in tied:
        counts[tie.ends[1]] += 1
    return {key for key, count in counts.items() if count > limits.TIE_HUB}
