"""Who belongs together: accounts tied by what they share, connected components kept as ties come. Pure.

A thing that too many share (a hub: a popular payee, a lost phone in a repair shop) ties nobody. When something becomes a hub,
or has not been seen for the span, the components are made anew from the ties that remain.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

N = TypeVar("N", bound=Hashable)
T = TypeVar("T", bound=Hashable)

HUB: Final = 12
"""Accounts that share a thing, beyond which it ties nobody."""


class Forest(Generic[N, T]):
    """Union-find over accounts N, tied by things T; `span_us`: a tie lasts so long, `most`: ties at one time."""

    def __init__(self, span_us: int, most: int) -> None:
        self._span, self._most = span_us, most
        self._ties: OrderedDict[T, tuple[int, set[N]]] = OrderedDict()
        self._hubs: OrderedDict[T, None] = OrderedDict()
        self._parents: dict[N, N] = {}
        self._members: dict[N, set[N]] = {}
        self._cut = False
        self._swept_us = 0

    def tie(self, thing: T, account: N, at_us: int, hub: int = HUB) -> None:
        """An account is tied to a thing, and so to all that are tied to it. `hub`: accounts beyond which it ties nobody."""
        if thing in self._hubs:
            return
        _, accounts = self._ties.pop(thing, (0, set()))
        if account in accounts:
            self._ties[thing] = (at_us, accounts)
            return
        accounts.add(account)
        if len(accounts) > hub:
            self._hubs[thing] = None
            if len(self._hubs) > self._most:
                self._hubs.popitem(last=False)
            self._cut = True
            return
        self._ties[thing] = (at_us, accounts)
        if len(self._ties) > self._most:
            self._forget_oldest()
        self._join(accounts)

    def component(self, account: N) -> set[N]:
        """All that are tied to an account, itself among them."""
        return self._members.get(self._root(account), {account})

    def sweep(self, at_us: int) -> None:
        """Forget ties that are too old, and make the components anew where ties were cut. To be called now and then."""
        if at_us - self._swept_us > self._span // 8:
            self._swept_us = at_us
            while self._ties and next(iter(self._ties.values()))[0] < at_us - self._span:
                self._forget_oldest()
        if self._cut:
            self._cut = False
            self._parents, self._members = {}, {}
            for _, accounts in self._ties.values():
                self._join(accounts)

    def _forget_oldest(self) -> None:
        """Most things belong to one account: those tie nobody, and nothing is to be made anew without them."""
        _, (_, accounts) = self._ties.popitem(last=False)
        self._cut = self._cut or len(accounts) > 1

    def _join(self, accounts: set[N]) -> None:
        roots = {self._root(each) for each in accounts}
        if len(roots) < 2:
            return
        biggest = max(roots, key=lambda root: len(self._members.get(root, ())))
        joined = self._members.setdefault(biggest, {biggest})
        for root in roots - {biggest}:
            joined |= self._members.pop(root, {root})
            self._parents[root] = biggest

    def _root(self, account: N) -> N:
        root = account
        while (parent := self._parents.get(root)) is not None:
            root = parent
        while account != root:
            self._parents[account], account = root, self._parents[account]
        return root
