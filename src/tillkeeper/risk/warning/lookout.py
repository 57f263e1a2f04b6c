"""Everything that watches, over the same batches: streams, detectors, and what a single decision is worth. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

from msgspec.structs import replace

from tillkeeper.base.clock import to_us
from tillkeeper.risk.warning import bust_out, card_testing, mules, stuffing
from tillkeeper.risk.warning.bust_out import BustOut
from tillkeeper.risk.warning.card_testing import CardTesting
from tillkeeper.risk.warning.mules import Mules
from tillkeeper.risk.warning.rhythm import Hour
from tillkeeper.risk.warning.stakes import MILLION, Precision, probability, wanted
from tillkeeper.risk.warning.streams import Streams
from tillkeeper.risk.warning.stuffing import Stuffing
from tillkeeper.risk.warning.types import Finding, Seen, SeenLabel, SeenLogin, Signal, Subject

Key = tuple[str, str, str]
S = TypeVar("S", Seen, SeenLogin)

ATTACKS: Final = frozenset((bust_out.KIND, card_testing.KIND, mules.KIND, stuffing.KIND))
"""Kinds of signals that say what thieves do, not that the platform is unwell."""


class Worthy(NamedTuple):
    """A decision that somebody should hear of, and how probable it is that it is fraud."""

    seen: Seen
    ppm: int


class WorthyLogin(NamedTuple):
    """The same of a login."""

    seen: SeenLogin
    ppm: int


class Lookout:
    """Takes batches in the order of their arrival. Not for use by several threads."""

    def __init__(
        self,
        past: Mapping[str, Sequence[Hour]] | None = None,
        precision: Precision | None = None,
    ) -> None:
        self.streams = Streams(past)
        self._precision = precision or Precision()
        self._detectors = (CardTesting(), BustOut())
        self._mules = Mules()
        self._stuffing = Stuffing()

    def decided(self, batch: Sequence[Seen], now_us: int) -> tuple[list[Finding], list[Worthy]]:
        """Decisions: what they show (each trouble once, as it stands at the end), and those that are worth an alert."""
        batch = _not_later(batch, now_us)
        found = self.streams.decided(batch, now_us)
        worthy = []
        for each in batch:
            for detector in self._detectors:
                found += detector.seen(each)
            found += self._mules.seen(each)
            likely = probability(each, self._precision)
            if wanted(each, likely):
                worthy.append(Worthy(each, round(likely * MILLION)))
        if batch:
            self._mules.sweep(batch[-1].at_us)
        return newest(found), worthy

    def remember(self, signals: Iterable[Signal]) -> None:
        """What lasts already, at a restart: what is seen of it again is nothing new."""
        for each in signals:
            if each.kind == mules.KIND:
                accounts = [UUID(one) for one in each.evidence.get("accounts", ())]
                self._mules.remember(each.about, accounts, to_us(each.seen_at))

    def relive(self, batch: Sequence[Seen]) -> None:
        """Take in once more what was seen before a restart; streams have their past elsewhere."""
        for each in batch:
            for detector in self._detectors:
                detector.seen(each)
            self._mules.seen(each)
        if batch:
            self._mules.sweep(batch[-1].at_us)

    def relive_logins(self, batch: Sequence[SeenLogin]) -> None:
        """The same of tries to log in."""
        for each in batch:
            self._stuffing.seen(each)
            self._mules.logged_in(each)

    def logged_in(self, batch: Sequence[SeenLogin], now_us: int) -> tuple[list[Finding], list[WorthyLogin]]:
        """Tries to log in."""
        batch = _not_later(batch, now_us)
        found = self.streams.logged_in(batch, now_us)
        for each in batch:
            found += self._stuffing.seen(each)
            found += self._mules.logged_in(each)
        # Who had the password and was blocked all the same: the account is in danger, or the customer locked out.
        blocked = [each for each in batch if each.succeeded and each.outcome == "block"]
        return newest(found), [WorthyLogin(each, round(each.score * MILLION)) for each in blocked]

    def labelled(self, batch: Sequence[SeenLabel], now_us: int) -> list[Finding]:
        """What payments turned out to be."""
        for each in batch:
            self._precision.learn(each)
        return newest(self.streams.labelled(batch, now_us))

    def tick(self, now_us: int) -> list[Finding]:
        """The time has come so far."""
        return newest(self.streams.tick(now_us))


def _not_later(batch: Sequence[S], now_us: int) -> list[S]:
    """What says of itself that it comes from the future happened now: a wrong clock shall not stop the windows."""
    return [each if each.at_us <= now_us else replace(each, at_us=now_us) for each in batch]


def newest(found: Sequence[Finding]) -> list[Finding]:
    """Each trouble once, as it was seen last; whom to alert about comes from all that was seen."""
    last: dict[Key, Finding] = {}
    subjects: dict[Key, dict[UUID, Subject]] = {}
    for each in found:
        last[each.key] = each
        if each.subjects:
            subjects.setdefault(each.key, {}).update({one.id: one for one in each.subjects})
    return [
        replace(each, subjects=tuple(subjects[key].values())) if key in subjects else each
        for key, each in last.items()
    ]
