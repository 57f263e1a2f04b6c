"""What came of everything the city did, against the truth that only the city knows."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tillkeeper.simulation.acts import HONEST
from tillkeeper.simulation.latencies import Latencies

# What the platform's risk decision did to a payment that it did not simply allow.
STOPPED: Final = frozenset({"challenge", "hold", "deny"})
MONEY_WENT: Final = frozenset({"succeeded", "authorized", "partially_refunded", "refunded"})


class Catch(msgspec.Struct):
    """The payments of one kind of attack. `failed` went through the risk check but not through (no funds, limit)."""

    payments: int = 0
    caught: int = 0
    missed: int = 0
    failed: int = 0
    stopped: int = 0
    """Minor units of CNY that were caught."""
    lost: int = 0
    """Minor units of CNY that thieves got."""


class Replays(msgspec.Struct):
    """Requests sent a second time under the same key, and how many of them got the first answer."""

    sent: int = 0
    same: int = 0


class Spoiled(msgspec.Struct):
    """Bad requests, how many of them were refused, and the faults of those that were not."""

    sent: int = 0
    refused: int = 0
    accepted: list[str] = msgspec.field(default_factory=list)


class Tally:
    """Counters of one run."""

    def __init__(self) -> None:
        self.payments = 0
        self.unanswered = 0
        self.late_answers = 0
        self.honest = 0
        self.friction: Counter[str] = Counter()
        self.catches: dict[str, Catch] = {}
        self.moved: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()
        self.besides: Counter[str] = Counter()
        self.logins: dict[str, Counter[str]] = {}
        self.replays = Replays()
        self.spoiled = Spoiled()
        self.latency = Latencies()
        self.recent = Latencies()
        self._recent_since = 0.0

    def took(self, seconds: float, tries: int) -> None:
        """One payment was answered."""
        self.payments += 1
        self.late_answers += tries > 1
        self.latency.add(seconds)
        self.recent.add(seconds)

    def forget_latencies_older_than(self, seconds: float, now: float) -> None:
        """Begin `recent` anew when it is older than so long. `now` is monotonic."""
        if now - self._recent_since >= seconds:
            self.recent, self._recent_since = Latencies(), now

    def decided(self, payment: Mapping[str, Any], truth: str) -> None:
        """The first answer to a payment: what the platform decided, and whether it was right."""
        risk, amount = payment["risk"], payment["amount"]
        went = payment["state"] in MONEY_WENT
        self.moved[payment["currency"]] += payment["captured"]
        if payment["failure"]:
            self.failures[payment["failure"]["code"]] += 1
        if truth == HONEST:
            self.honest += 1
            if risk in STOPPED:
                self.friction[risk] += 1
            return
        catch = self.catches.setdefault(truth, Catch())
        catch.payments += 1
        if risk in STOPPED:
            catch.caught += 1
            catch.stopped += amount
        elif went:
            catch.missed += 1
            catch.lost += amount
        else:
            catch.failed += 1

    def passed(self, payment: Mapping[str, Any], truth: str) -> None:
        """A challenge was answered and the money went after all."""
        self.moved[payment["currency"]] += payment["captured"]
        if truth != HONEST:
            catch = self.catches[truth]
            catch.caught -= 1
            catch.stopped -= payment["amount"]
            catch.missed += 1
            catch.lost += payment["amount"]

    def logged_in(self, login: Mapping[str, Any], truth: str) -> None:
        """What was to be done about a login; `truth` as of intents."""
        self.logins.setdefault(truth or "honest", Counter())[login["outcome"]] += 1

    def captured(self, payment: Mapping[str, Any]) -> None:
        """A shop took what a hold reserved."""
        self.moved[payment["currency"]] += payment["captured"]

    @property
    def caught(self) -> int:
        return sum(catch.caught for catch in self.catches.values())

    @property
    def missed(self) -> int:
        return sum(catch.missed for catch in self.catches.values())
