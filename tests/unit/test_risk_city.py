"""The rules that come with the package against the simulation's thieves."""

from collections import Counter
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tests.support.risk_city import told
from tillkeeper.risk import FEATURES, load_rules
from tillkeeper.risk.profiles import Profiles
from tillkeeper.simulation.thieves import KINDS


@pytest.mark.parametrize("rate", [100.0, 0.1])
def test_every_kind_of_attack_is_caught(rate: float) -> None:
    """At the demo's pace, where people pay every few seconds, and at a pace as in life.

    The first round is left out: where nobody is known yet, nobody can be unlike themselves.
    """
    rules = load_rules(None)
    profiles = Profiles(rules, ZoneInfo("Asia/Shanghai"))
    columns = [FEATURES[name].index for name in rules.features]
    life = told(5, rate, 24_000)
    outcomes: list[str] = []
    for begin in range(0, len(life), 64):
        matrix = profiles.observe([one.attempt for one in life[begin : begin + 64]])
        outcomes += [outcome for outcome, _ in rules.decide(matrix[:, columns])]
    seen, stopped = Counter[str](), Counter[str]()
    for one, outcome in list(zip(life, outcomes, strict=True))[3000:]:
        seen[one.truth] += 1
        stopped[one.truth] += outcome != "allow"
        # Thieves in mule chains answer challenges, and a chain's first link is the victim: holds must do it.
        if one.truth == "mule_chain":
            stopped["chain held"] += outcome == "hold"
    caught = {kind: stopped[kind] / seen[kind] for kind in KINDS}
    assert min(caught.values()) >= 0.7, caught
    assert np.mean(list(caught.values())) >= 0.9
    assert stopped["chain held"] / seen["mule_chain"] >= 0.55
    assert stopped[""] / seen[""] <= 0.04  # honest people are asked now and then
