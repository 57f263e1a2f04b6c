"""`python -m bench.risk`: how fast risk decides, in what memory, how it starts, and what its rules find.

Decisions only: no HTTP, no database. Everything is on: all windows of all four kinds of profiles, the rules that come
with the package. One core.
"""

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numexpr
import numpy as np

from bench import detection, figures
from bench.plain_windows import PlainWindows
from tillkeeper.base.ids import new_id
from tillkeeper.risk import FEATURES, Attempt, RuleSet, load_rules
from tillkeeper.risk.profiles import Profiles

TURN: Final = 64
CUSTOMERS: Final = 10_000
MERCHANTS: Final = 1_000
MEASURED_TURNS: Final = 800
STORED: Final = (10_000, 100_000, 1_000_000)
DAYS: Final = 35  # over which stored payments lie, however many: windows are full and expire all the time
ZONE: Final = ZoneInfo("Asia/Shanghai")


class Crowd:
    """Customers with phones, homes and favourite merchants, paying at random: a seeded stream of attempts."""

    def __init__(self, seed: int, step_us: int) -> None:
        self.rng = random.Random(seed)
        self.step_us = step_us
        self.now = 1_775_000_000_000_000
        self.customers = [new_id() for _ in range(CUSTOMERS)]
        self.merchants = [new_id() for _ in range(MERCHANTS)]

    def turn(self, size: int = TURN) -> list[Attempt]:
        """The next attempts."""
        return [self._attempt() for _ in range(size)]

    def _attempt(self) -> Attempt:
        rng = self.rng
        self.now += rng.randrange(2 * self.step_us)
        n = rng.randrange(CUSTOMERS)
        known = rng.random() < 0.9
        send = rng.random() < 0.1
        payee = (
            rng.choice(self.customers) if send else self.merchants[(n * 7 + rng.randrange(12)) % MERCHANTS]
        )
        return Attempt(
            id=new_id(),
            kind="send" if send else "payment",
            at_us=self.now,
            customer=self.customers[n],
            payee=payee,
            amount=int(rng.lognormvariate(8, 1)),
            currency="CNY",
            device=f"phone-{n}" if known else f"phone-{rng.randrange(CUSTOMERS)}",
            ip=f"10.0.{n >> 8}.{n & 255}" if known else f"39.144.{rng.randrange(16)}.{rng.randrange(16)}",
            latitude=31.2 + rng.random(),
            longitude=121.4 + rng.random(),
        )


def measure() -> dict[str, Any]:
    """All figures; times in seconds unless the name says otherwise."""
    return {
        "start": _starts(),
        "decide": {f"{stored:,} stored": _decide(stored) for stored in STORED},
        "windows_us_per_decision": _windows(),
        "rule_us_per_turn": _rule_costs(),
        "handbook": detection.measure(),
    }


def _decide(stored: int) -> dict[str, float]:
    """Turns of 64 upon `stored` payments within the memory."""
    rules = load_rules(None)
    columns = [FEATURES[name].index for name in rules.features]
    crowd = Crowd(7, DAYS * 86_400 * 1_000_000 // stored)
    Profiles(rules, ZONE).observe(crowd.turn())  # machine code is not memory per customer
    before = _resident()
    profiles = Profiles(rules, ZONE)
    for _ in range(stored // 1000):
        profiles.observe(crowd.turn(1000))
    kept = _resident() - before
    turns = [crowd.turn() for _ in range(MEASURED_TURNS)]
    seconds, processor, hits = [], time.thread_time(), 0
    for turn in turns:
        begin = time.perf_counter()
        decided = rules.decide(profiles.observe(turn)[:, columns])
        seconds.append(time.perf_counter() - begin)
        hits += sum(bool(reasons) for _, reasons in decided)
    processor = time.thread_time() - processor
    counts = profiles.counts()
    return {
        "decisions_per_second": round(TURN * MEASURED_TURNS / sum(seconds)),
        "per_second_on_cpu": round(TURN * MEASURED_TURNS / processor),
        "turn_p50_ms": round(float(np.percentile(seconds, 50)) * 1000, 3),
        "turn_p99_ms": round(float(np.percentile(seconds, 99)) * 1000, 3),
        "turn_max_ms": round(max(seconds) * 1000, 3),
        "hit_share": round(hits / TURN / MEASURED_TURNS, 4),
        "payments_remembered": counts["payments"],
        "bytes_per_payment": round(kept / counts["payments"]),
        "bytes_per_customer": round(kept / CUSTOMERS),
        "payments_per_customer": round(counts["payments"] / CUSTOMERS, 1),
    }


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


_START: Final = """
import time
begin = time.perf_counter()
from tillkeeper.risk import warm_up
imported = time.perf_counter()
warm_up()
print(imported - begin, time.perf_counter() - imported)
"""


def _starts() -> dict[str, dict[str, float]]:
    """A process until it can decide: with an empty cache of machine code, and with a filled one."""
    with tempfile.TemporaryDirectory() as cache:
        runs = {kind: _run(_START, NUMBA_CACHE_DIR=cache) for kind in ("first", "second")}
    return {
        kind: {"import": round(imports, 2), "compile_or_load": round(ready, 2)}
        for kind, (imports, ready) in runs.items()
    }


def _windows() -> dict[str, float]:
    """A decision's windows, compiled and in plain Python: what Numba is here for."""
    crowd = Crowd(7, 30_000_000)
    turns = [crowd.turn() for _ in range(300)]
    profiles, plain = Profiles(load_rules(None), ZONE), PlainWindows()
    ways: dict[str, Callable[[list[Attempt]], Any]] = {
        "compiled": profiles.observe,
        "plain_python": lambda turn: [plain.observe(attempt) for attempt in turn],
    }
    found = {}
    for way, observe in ways.items():
        observe(turns[0])
        begin = time.perf_counter()
        for turn in turns[1:]:
            observe(turn)
        found[way] = round((time.perf_counter() - begin) / (len(turns) - 1) / TURN * 1e6, 1)
    return found


def _run(program: str, **environment: str) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return [float(word) for word in done.stdout.split()]


def _rule_costs() -> dict[str, float]:
    """One evaluation of a rule over a turn, on average: as numexpr does it, and as NumPy would."""
    rules = load_rules(None)
    rng = np.random.default_rng(7)
    values = {name: rng.random(TURN) * 10 for name in rules.features}
    ways = {"numexpr": list(_compiled(rules)), "numpy": list(_plain(rules))}
    found = {}
    for way, tests in ways.items():
        begin = time.perf_counter()
        for _ in range(500):
            for names, test in tests:
                test(*[values[name] for name in names])
        found[way] = round((time.perf_counter() - begin) / 500 / len(tests) * 1e6, 2)
    return found


def _compiled(rules: RuleSet) -> Iterator[tuple[tuple[str, ...], Any]]:
    for rule in rules.rules:
        yield rule.reads, numexpr.NumExpr(rule.when, [(name, np.float64) for name in rule.reads])


def _plain(rules: RuleSet) -> Iterator[tuple[tuple[str, ...], Any]]:
    for rule in rules.rules:
        yield rule.reads, eval(f"lambda {', '.join(rule.reads)}: {rule.when}")


def show(found: dict[str, Any]) -> None:
    """The figures as tables."""
    stored = found["decide"]
    figures.show(
        "Risk: decisions only, turns of 64, everything on, one core",
        [
            {"": name.replace("_", " ")} | {kind: f"{row[name]:,}" for kind, row in stored.items()}
            for name in next(iter(stored.values()))
        ],
    )
    for title, row in (
        ("Windows, µs a decision", found["windows_us_per_decision"]),
        ("One rule over a turn, µs", found["rule_us_per_turn"]),
        *((f"{kind.capitalize()} start, s", row) for kind, row in found["start"].items()),
    ):
        figures.show(title, [{name: str(value) for name, value in row.items()}])
    if found["handbook"] is None:
        print("The Handbook's payments are not beside the checkout: no detection figures.")
    else:
        detection.show(found["handbook"])


def main() -> None:
    """Measure, print, and keep as JSON."""
    found = measure()
    show(found)
    figures.keep("risk", found)


if __name__ == "__main__":
    main()
