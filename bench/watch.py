"""`python -m bench watch`: how soon early warning speaks of an attack, what is lost before, and how often it speaks for nothing.

The simulator's city lives (bench/watch_city.py), and what is decided passes by the watch once a second, as the agent does it.
More credential stuffing comes from a generator of this file. Streams are tried on made traffic with a rhythm.
"""

import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any, Final
from uuid import UUID

import msgspec

from bench import figures
from bench.watch_city import BEGIN_US, Life, Told
from bench.watch_neighbours import STORIES
from tillkeeper.base import limits
from tillkeeper.base.ids import new_id
from tillkeeper.risk.warning import Finding, Lookout, Seen, SeenLogin
from tillkeeper.risk.warning.rhythm import HOUR_US, WEEK_HOURS, Hour
from tillkeeper.risk.warning.streams import SLOT_US, Stream

PAYMENTS: Final = 36_000  # twelve attacks of each kind
RATE: Final = 20.0  # payments a second: half an hour
LOGINS: Final = 20_000
LOOK_US: Final = int(limits.WATCH_SECONDS * 1_000_000)
WEEKS: Final = 4  # of traffic that streams are tried on, after two that they learn from
TRIALS: Final = 40  # in a slot of ten seconds by day; a quarter of that at night
AS_USUAL: Final = 1.0
FACTORS: Final = (AS_USUAL, 1.5, 2.0, 4.0)
STREAMS: Final = 3

Owners = dict[str, Told]


class Attack(msgspec.Struct):
    """What is known of one attack. Times in microseconds; None: nothing was said. `names`: kinds of signals that named it.

    Minor units; of logins: accounts. `asked`: what victims were to lose, `taken`: what was sent from their wallets, `gone`: what of
    it left the platform or became goods; `moved`: everything that was sent in the attack, each step of a chain anew. What was so
    before the first alert stands beside.
    """

    kind: str
    begun_us: int
    alerted_us: int | None = None
    signalled_us: int | None = None
    asked: int = 0
    taken: int = 0
    gone: int = 0
    gone_before: int = 0
    moved: int = 0
    moved_before: int = 0
    names: set[str] = set()


class Noise(msgspec.Struct):
    """What was said of honest people, by the story they live ("" the city's). `false`: signals that name nobody of any attack."""

    alerts: dict[str, int] = {}
    false: dict[tuple[str, str, str], str] = {}
    cpu: float = 0.0


def main() -> None:
    """Measure and print."""
    rng = random.Random(3)
    told = list(Life(2, RATE).told(PAYMENTS))
    attacks, noise = _watched(told)
    kinds = _by_kind(attacks)
    honest = [_honest(told, noise, story) for story in ("", *STORIES)]
    stuffing = [
        _stuffing_line(rng, name, count)
        for name, count in (("one address", 1), ("sixty addresses of one network", 60))
    ]
    streams = [_stream_line(rng, factor) for factor in FACTORS]
    figures.show(
        "Attacks of the simulated city (of stuffing: accounts)",
        [_line(kind, some) for kind, some in kinds],
    )
    figures.show("Honest life in it, and honest money that moves as that of mules does", honest)
    figures.show("Credential stuffing, slower: 200 accounts within two minutes", stuffing)
    figures.show(f"A share of 2 % by day and 3 % at night, {TRIALS * 6} trials a minute by day", streams)
    kept = {kind: _figures(some) for kind, some in kinds}
    cpu = f"{noise.cpu / len(told) * 1e6:.0f} µs"
    figures.show("Looking", [{"decisions and logins": f"{len(told):,}", "CPU for one": cpu}])
    figures.keep(
        "watch", {"cpu": cpu, "attacks": kept, "honest": honest, "stuffing": stuffing, "streams": streams}
    )


def _watched(told: Sequence[Told]) -> tuple[list[Attack], Noise]:
    """What the watch said, looking once a second, and when."""
    attacks: dict[tuple[str, int], Attack] = {}
    owners: Owners = {str(each.seen.id): each for each in told}
    lookout, noise, at = Lookout(), Noise(), 0
    while at < len(told):
        now = (told[at].seen.at_us // LOOK_US + 1) * LOOK_US
        end = at
        while end < len(told) and told[end].seen.at_us < now:
            _happens(attacks, told[end])
            end += 1
        _look(lookout, attacks, owners, [each.seen for each in told[at:end]], now, noise)
        at = end
    return list(attacks.values()), noise


def _look(
    lookout: Lookout, attacks: dict[tuple[str, int], Attack], owners: Owners, some: Sequence[Seen | SeenLogin], now: int,
    noise: Noise,
) -> None:  # fmt: skip
    began = time.process_time()
    found, worthy = lookout.decided([each for each in some if isinstance(each, Seen)], now)
    of_logins, blocked = lookout.logged_in([each for each in some if isinstance(each, SeenLogin)], now)
    found = [*found, *of_logins, *lookout.tick(now)]
    noise.cpu += time.process_time() - began
    for heard in (*(each.seen.id for each in worthy), *(each.seen.id for each in blocked)):
        owner = owners[str(heard)]
        attack = attacks.get(owner.attack)
        if attack is None:
            noise.alerts[owner.story] = noise.alerts.get(owner.story, 0) + 1
        elif attack.alerted_us is None:
            attack.alerted_us = now
    for finding in found:
        named = _named(finding, owners)
        if not _signalled(attacks, finding, named, now):
            noise.false[finding.key] = max((each.story for each in named), default="")


def _happens(attacks: dict[tuple[str, int], Attack], one: Told) -> None:
    if one.honest:
        return
    attack = attacks.setdefault(one.attack, Attack(one.attack[0], one.seen.at_us))
    before = attack.alerted_us is None
    login = int(attack.kind == "stuffing" and isinstance(one.seen, SeenLogin))
    attack.asked += one.taken + login
    if one.went:
        attack.taken += one.taken + login
        # What a purse held besides, or a till from honest guests, is not the victims'.
        gone = min(one.gone + login, attack.taken - attack.gone)
        moved = one.seen.worth if isinstance(one.seen, Seen) else login
        attack.gone += gone
        attack.moved += moved
        attack.gone_before += gone * before
        attack.moved_before += moved * before


def _named(finding: Finding, owners: Owners) -> list[Told]:
    ids = (*finding.evidence.get("payments", ()), *finding.evidence.get("logins", ()))
    return [owners[each] for each in ids]


def _signalled(
    attacks: dict[tuple[str, int], Attack], finding: Finding, owners: Sequence[Told], now: int
) -> bool:
    """Note a signal with the attacks whose payments or logins it names; whether there is any."""
    named = [attacks[each.attack] for each in owners if not each.honest]
    for attack in named:
        attack.names = attack.names | {finding.kind}
        attack.signalled_us = attack.signalled_us or now
        attack.alerted_us = attack.alerted_us or now
    return bool(named)


def _by_kind(attacks: list[Attack]) -> list[tuple[str, list[Attack]]]:
    kinds: dict[str, list[Attack]] = defaultdict(list)
    for each in attacks:
        kinds[each.kind].append(each)
    return sorted(kinds.items())


_SUMS: Final = ("asked", "taken", "gone_before", "gone", "moved_before", "moved")


def _figures(some: list[Attack]) -> dict[str, Any]:
    waited = sorted((each.alerted_us - each.begun_us) / 1e6 for each in some if each.alerted_us)
    signalled = sorted((each.signalled_us - each.begun_us) / 1e6 for each in some if each.signalled_us)
    return {
        "attacks": len(some),
        "alerted": len(waited),
        "median_s": median(waited) if waited else None,
        "p90_s": figures.percentile(waited, 0.9) if waited else None,
        "signalled": len(signalled),
        "signal_median_s": median(signalled) if signalled else None,
        **{name: sum(getattr(each, name) for each in some) for name in _SUMS},
        "signals": sorted({name for each in some for name in each.names}),
    }


def _line(kind: str, some: list[Attack]) -> dict[str, str]:
    found = _figures(some)
    lost = str if kind == "stuffing" else _yuan
    return {
        "attack": kind,
        "alerted": f"{found['alerted']} of {found['attacks']}",
        "first event to alert": f"{_seconds(found['median_s'])}, p90 {_seconds(found['p90_s'])}",
        "asked for": lost(found["asked"]),
        "taken": lost(found["taken"]),
        "gone before alert / in all": f"{lost(found['gone_before'])} / {lost(found['gone'])}",
        "moved before / in all": f"{lost(found['moved_before'])} / {lost(found['moved'])}",
        "recognised": f"{found['signalled']}, after {_seconds(found['signal_median_s'])}"
        if found["signalled"]
        else "-",
        "as": ", ".join(found["signals"]),
    }


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _yuan(amount: int) -> str:
    return f"¥{amount / 100:,.0f}"


def _honest(told: Sequence[Told], noise: Noise, story: str) -> dict[str, str]:
    seen = [each for each in told if each.honest and each.story == story]
    payments = [each for each in seen if isinstance(each.seen, Seen)]
    outcomes = [each.seen.outcome for each in payments]
    alerts = noise.alerts.get(story, 0)
    return {
        "life": story or "the city",
        "payments": f"{len(payments):,}",
        "logins": f"{len(seen) - len(payments):,}",
        "challenged": str(outcomes.count("challenge")),
        "held or denied": str(outcomes.count("hold") + outcomes.count("deny")),
        "alerts": f"{alerts} ({alerts / max(len(payments), 1):.2%})",
        "signals": str(sum(each == story for each in noise.false.values())),
    }


def _stuffing_line(rng: random.Random, name: str, addresses: int) -> dict[str, str]:
    """Ten attacks among honest logins (3 % fail, and some try again and again)."""
    people = [new_id() for _ in range(2000)]
    waited: list[float] = []
    opened = false = 0
    lookout, at = Lookout(), BEGIN_US
    for round_ in range(10):
        for one in _honest_logins(rng, people, LOGINS // 10, at):
            at = one.at_us
            false += len(lookout.logged_in([one], at)[0])
        begin, known = at + 60_000_000, False
        for one in _stuffing(rng, people, begin, f"185.{round_}", addresses):
            found, _ = lookout.logged_in([one], one.at_us)
            opened += one.succeeded and not known
            if not known and any(each.kind == "credential_stuffing" for each in found):
                known = True
                waited.append((one.at_us - begin) / 1e6)
    return {
        "from": name,
        "found": f"{len(waited)} of 10",
        "first try to signal": _seconds(median(waited) if waited else None),
        "accounts opened before": f"{opened} of {10 * 200} tried",
        "signals about honest logins": str(false),
    }


def _honest_logins(rng: random.Random, people: list[UUID], count: int, at: int) -> Iterator[SeenLogin]:
    for _ in range(count):
        at += int(rng.expovariate(2.0) * 1e6) + 1
        n = rng.randrange(len(people))
        mobile = rng.random() < 0.5
        ip, network = (f"39.144.0.{n % 16}", "9808") if mobile else (f"58.1.{n // 250}.{n % 250}", "4134")
        for _ in range(1 if rng.random() > 0.04 else rng.randrange(2, 5)):
            failed = rng.random() < 0.03
            yield _login(at, people[n], ip, network, f"phone-{n}", succeeded=not failed)


def _stuffing(
    rng: random.Random, people: list[UUID], at: int, head: str, addresses: int
) -> Iterator[SeenLogin]:
    """Two hundred accounts, one or two a second; two of a hundred passwords are right."""
    for victim in rng.sample(people, 200):
        at += int(rng.expovariate(1.5) * 1e6) + 1
        ip = f"{head}.0.{rng.randrange(addresses)}"
        yield _login(
            at, victim, ip, f"AS{head}", f"bot-{rng.randrange(10**6)}", succeeded=rng.random() < 0.02
        )


def _login(at: int, customer: UUID, ip: str, network: str, device: str, *, succeeded: bool) -> SeenLogin:
    return SeenLogin(new_id(), at, customer, succeeded, "allow", 0.0, (), ip, network, device)


def _stream_line(rng: random.Random, factor: float) -> dict[str, str]:
    """False alarms of weeks within the band, and the time until a change is found that begins at midnight UTC."""
    slots = WEEKS * 7 * 8640 // STREAMS if factor == AS_USUAL else 8640
    found, quiet = [], 0
    for _ in range(STREAMS):
        slot = _found_after(rng, factor, slots)
        quiet += slots if slot is None else slot
        found += [] if slot is None else [slot * limits.STREAM_SLOT_SECONDS / 60]
    return {
        "share": "as usual" if factor == AS_USUAL else f"{factor:g} times the usual",
        "found": f"{len(found)} of {STREAMS}",
        "after, median": f"{median(found):.1f} min" if found else "-",
        "quiet days before": f"{quiet / 8640:.1f}",
    }


def _found_after(rng: random.Random, factor: float, slots: int) -> int | None:
    stream = Stream("decline_rate", falls=True, past=_past())
    begin = (BEGIN_US // HOUR_US // WEEK_HOURS + 1) * WEEK_HOURS * HOUR_US
    for slot in range(slots):
        at = begin + slot * SLOT_US
        night = at // HOUR_US % 24 < 8
        trials, share = (TRIALS // 4, 0.03) if night else (TRIALS, 0.02)
        hits = sum(rng.random() < share * factor for _ in range(trials))
        if stream.count(at, trials, hits):
            return slot
    return None


def _past() -> list[Hour]:
    first = (BEGIN_US // HOUR_US // WEEK_HOURS - 1) * WEEK_HOURS
    night, day = (90 * TRIALS, 90 * TRIALS * 3 // 100), (360 * TRIALS, 360 * TRIALS * 2 // 100)
    return [Hour(first + n, *(night if n % 24 < 8 else day)) for n in range(2 * WEEK_HOURS)]
