"""The platform's own pulse: shares and sums that should keep to their bands, each with its rhythm and its test. Pure."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from tillkeeper.base import limits
from tillkeeper.risk.warning.rhythm import Band, Hour, Rhythm
from tillkeeper.risk.warning.sequential import (
    FACTORS,
    LOG_BOUND,
    STAKES,
    Evidence,
    money_up,
    share_down,
    share_up,
)
from tillkeeper.risk.warning.types import Direction, Finding, Seen, SeenLabel, SeenLogin, Severity

SLOT_US: Final = limits.STREAM_SLOT_SECONDS * 1_000_000
_LEARN_US: Final = int(limits.STREAM_LEARN_SECONDS * 1_000_000)
_ACCEPT_US: Final = int(limits.STREAM_ACCEPT_SECONDS * 1_000_000)
_MOST_EMPTY: Final = (
    360  # slots without money in a row that are judged: after so many little is left to judge
)
_HISTORY_US: Final = 86_400 * 1_000_000
_RULE: Final = "rule:"

# What is watched besides each rule's hit rate, whether falling is a trouble too, and how loud it is.
PULSES: Final[Mapping[str, tuple[bool, Severity]]] = {
    "decline_rate": (True, "page"),
    "new_device_share": (False, "ticket"),
    "login_failures": (False, "page"),
    "fraud_money": (False, "page"),
}
RULE_PULSE: Final = "rule_hit_rate"


class Stream:
    """One share or sum: slots are counted, judged against the band of what was learnt before them, and learnt later."""

    def __init__(
        self, name: str, *, falls: bool = False, money: bool = False, past: Iterable[Hour] = ()
    ) -> None:
        self.name = name
        self.rhythm = Rhythm(past, money=money)
        self._money = money
        self._slot: list[int] | None = None
        self._unlearnt: deque[tuple[int, int, int]] = deque()
        self._ended: list[Hour] = []
        self._evidence: dict[Direction, Evidence] = {"up": Evidence(len(STAKES if money else FACTORS))}
        if falls:
            self._evidence["down"] = Evidence(len(FACTORS))
        self._firing: dict[Direction, int] = {}  # since when

    def count(self, at_us: int, trials: int, hits: int) -> list[Finding]:
        """Count something; what the slots that end with it say. What comes late counts with the present slot."""
        slot = at_us // SLOT_US
        found: list[Finding] = []
        if self._slot is not None and slot > self._slot[0]:
            found = self._end_slot(slot)
        if self._slot is None:
            self._slot = [slot, 0, 0]
        self._slot[1] += trials
        self._slot[2] += hits
        return found

    def tick(self, at_us: int) -> list[Finding]:
        """The time has come so far, whether anything happened or not. Of money, which has no trials, each slot is one."""
        if self._money:
            return self.count(at_us, 0, 0)
        ended = self._slot is not None and at_us // SLOT_US > self._slot[0]
        return self._end_slot(at_us // SLOT_US) if ended else []

    def ended_hours(self) -> list[Hour]:
        """The hours that ended since this was asked last: to be stored."""
        ended, self._ended = self._ended, []
        return ended

    def rest(self) -> None:
        """Forget the evidence, not the past: after a change of rules."""
        self._evidence = {
            each: Evidence(len(FACTORS)) for each in self._evidence
        }  # of rules only, which have no money
        self._firing.clear()

    def _end_slot(self, now: int) -> list[Finding]:
        assert self._slot is not None
        slot, trials, hits = self._slot
        self._slot = None
        if not self._money:
            return self._close(slot, trials, hits)
        found = self._close(slot, 1, hits)
        for empty in range(slot + 1, min(now, slot + _MOST_EMPTY)):
            found += self._close(empty, 1, 0)
        return found

    def _close(self, slot: int, trials: int, hits: int) -> list[Finding]:
        at_us = slot * SLOT_US
        self._learn(at_us)
        band = self.rhythm.band(at_us)
        self._unlearnt.append((at_us, trials, hits))
        if band is None or not trials:
            return []
        return list(self._judge(at_us, trials, hits, band))

    def _learn(self, at_us: int) -> None:
        """What is old enough; at the very beginning, when nothing can be judged yet, all of it. While something fires nothing
        is learnt: the trouble would become the usual. What has lasted a day may be the new usual: it would fire for ever.
        """
        waiting = self._unlearnt
        while waiting and (not self.rhythm.known or waiting[0][0] <= at_us - _LEARN_US):
            each = waiting.popleft()
            if all(each[0] - since >= _ACCEPT_US for since in self._firing.values()):
                ended = self.rhythm.add(*each)
                self._ended += [ended] if ended else []

    def _judge(self, at_us: int, trials: int, hits: int, band: Band) -> Iterator[Finding]:
        for direction, evidence in self._evidence.items():
            if self._money:
                likelihoods = money_up(hits, band.high * trials)
            elif direction == "up":
                likelihoods = share_up(trials, hits, band.high)
            else:
                likelihoods = share_down(trials, hits, band.low)
            evidence.step(likelihoods, at_us, trials, hits)
            fired = direction in self._firing
            if evidence.found or (fired and not evidence.faded):
                self._firing.setdefault(direction, at_us)
                yield self._finding(direction, evidence, at_us, band)
            elif fired:
                del self._firing[direction]
                yield self._finding(direction, evidence, at_us, band, lasts=False)

    def _finding(
        self, direction: Direction, evidence: Evidence, at_us: int, band: Band, *, lasts: bool = True
    ) -> Finding:
        since = evidence.since
        trials, hits = since.trials, since.hits
        is_rule = self.name.startswith(_RULE)
        kind = RULE_PULSE if is_rule else self.name
        edge = band.high if direction == "up" else band.low
        return Finding(
            kind=kind if direction == "up" else f"{kind}_low",
            about_kind="rule" if is_rule else "",
            about=self.name.removeprefix(_RULE) if is_rule else "",
            severity=PULSES[self.name][1] if self.name in PULSES else "ticket",
            begun_us=since.at_us,
            at_us=at_us + SLOT_US,
            value=hits / max(trials, 1),
            usual=band.usual,
            events=trials if self._money else hits,
            money=hits if self._money else 0,
            evidence={
                "trials": trials,
                "hits": hits,
                "edge": edge,
                "slot_seconds": limits.STREAM_SLOT_SECONDS,
            },
            direction=direction,
            log_e=evidence.log,
            log_bound=LOG_BOUND,
            lasts=lasts,
        )


class Streams:
    """All of them. `past`: stored hours by stream."""

    def __init__(self, past: Mapping[str, Sequence[Hour]] | None = None) -> None:
        self._past = dict(past or {})
        self._pulses = {
            name: Stream(name, falls=falls, money=name == "fraud_money", past=self._past.get(name, ()))
            for name, (falls, _) in PULSES.items()
        }
        self._rules: dict[str, Stream] = {}
        self._rule_set: int | None = None
        self._slot = -1
        self._hits: dict[str, int] = {}
        self._decided = 0
        for name in self._past:
            if name.startswith(_RULE):
                self._follow(name.removeprefix(_RULE))

    def decided(self, batch: Sequence[Seen], now_us: int) -> list[Finding]:
        """Decisions in their order. What says of itself that it comes from the future counts as of `now_us`."""
        found: list[Finding] = []
        slot, begin = self._slot, 0
        for n, each in enumerate(batch):
            if (later := min(each.at_us, now_us) // SLOT_US) > slot:
                found += self._count(batch[begin:n])
                found += self._end_slot(later)
                slot, begin = later, n
        return found + self._count(batch[begin:])

    def _count(self, some: Sequence[Seen]) -> list[Finding]:
        """Decisions of one slot."""
        if not some:
            return []
        known = [each.new_device for each in some if each.new_device is not None]
        stopped = sum(each.outcome in ("hold", "deny") for each in some)
        at_us = self._slot * SLOT_US
        for each in some:
            for rule in each.reasons:
                self._hits[rule] = self._hits.get(rule, 0) + 1
        self._decided += len(some)
        return [
            *self._pulses["decline_rate"].count(at_us, len(some), stopped),
            *self._pulses["new_device_share"].count(at_us, len(known), sum(known)),
        ]

    def _end_slot(self, now: int) -> list[Finding]:
        """The rules' hits of the slot: most rules hit nothing in most slots, so they are counted together."""
        found: list[Finding] = []
        for rule in self._hits:
            self._follow(rule)
        if self._decided:
            at_us = self._slot * SLOT_US
            for name, stream in self._rules.items():
                found += stream.count(at_us, self._decided, self._hits.get(name, 0))
                found += stream.tick(now * SLOT_US)
        self._hits, self._decided, self._slot = {}, 0, now
        return found

    def _follow(self, rule: str) -> None:
        if rule not in self._rules and len(self._rules) < limits.WATCH_RULES:
            name = f"{_RULE}{rule}"
            self._rules[rule] = Stream(name, falls=True, past=self._past.get(name, ()))

    def logged_in(self, batch: Sequence[SeenLogin], now_us: int) -> list[Finding]:
        """Tries to log in, in their order."""
        stream = self._pulses["login_failures"]
        return [
            found
            for each in batch
            for found in stream.count(min(each.at_us, now_us), 1, int(not each.succeeded))
        ]

    def labelled(self, batch: Sequence[SeenLabel], now_us: int) -> list[Finding]:
        """What payments turned out to be, by when that became known. What was known a day ago already is history that somebody
        brings in, and says nothing of now.
        """
        stream = self._pulses["fraud_money"]
        return [
            found
            for each in batch
            if each.fraud and each.known_us > now_us - _HISTORY_US
            for found in stream.count(min(each.known_us, now_us), 0, each.worth)
        ]

    def tick(self, at_us: int) -> list[Finding]:
        """The time has come so far: slots in which nothing happened end too."""
        found: list[Finding] = []
        if at_us // SLOT_US > self._slot:
            found += self._end_slot(at_us // SLOT_US)
        for stream in self._pulses.values():
            found += stream.tick(at_us)
        return found

    def rules_are(self, rule_set: int, names: frozenset[str]) -> list[str]:
        """Which rules decide now. Rules that are gone are no longer followed: their names; the others begin anew with a rested
        test, since what they hit may have changed with them.
        """
        if rule_set == self._rule_set:
            return []
        first, self._rule_set = self._rule_set is None, rule_set
        gone = [name for name in self._rules if name not in names]
        for name in gone:
            del self._rules[name]
        if not first:
            for stream in self._rules.values():
                stream.rest()
        return gone

    def ended_hours(self) -> dict[str, list[Hour]]:
        """The hours that ended, by stream."""
        streams = (*self._pulses.values(), *self._rules.values())
        return {each.name: ended for each in streams if (ended := each.ended_hours())}
