"""The rule set's file: what is read, and how each mistake is refused with its line and reason."""

import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from tillkeeper.base import limits
from tillkeeper.risk import FEATURES, OUTCOMES, BadRulesError, RuleSet, load_rules, read_rules

HEAD = 'reference = "CNY"\nother = 100\n[worth]\nCNY = 100\n'
RULE = """[[rule]]
name = "large"
version = 2
outcome = "hold"
when = "amount > 1_000"
reason.zh = "金额 {amount}"
reason.en = "amount {amount}"
"""


def faults(source: str) -> list[tuple[int, str]]:
    with pytest.raises(BadRulesError) as refused:
        read_rules(source, "my.toml")
    for line, fault in zip(str(refused.value).splitlines(), refused.value.faults, strict=True):
        assert line == f"my.toml:{fault.line}: {fault.message}"
    return [(fault.line, fault.message) for fault in refused.value.faults]


def values(rules: RuleSet, **known: float) -> np.ndarray:
    return np.array([[known.get(name, np.nan) for name in rules.features]])


@pytest.mark.parametrize("name", ["rules.toml", "rules_handbook.toml"])
def test_the_rules_that_come_with_the_package(name: str) -> None:
    source = files("tillkeeper.risk").joinpath(name).read_text("utf-8")
    rules = read_rules(source, name)
    assert len(rules.rules) >= 8
    assert {rule.outcome for rule in rules.rules if "login" not in rule.on} == set(OUTCOMES[1:])
    assert set(rules.features) <= FEATURES.keys()
    # Nothing known about a payment: nothing is held against it.
    assert rules.decide(values(rules)) == [("allow", ())]


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(HEAD + RULE, "utf-8")
    (rule,) = load_rules(tmp_path / "mine.toml").rules
    assert (rule.name, rule.version, rule.outcome, rule.when) == ("large", 2, "hold", "amount > 1_000")
    assert (rule.reason("zh"), rule.reason("en")) == ("金额 {amount}", "amount {amount}")
    (tmp_path / "mine.toml").write_text("=", "utf-8")
    with pytest.raises(BadRulesError, match=r"mine\.toml:1: not TOML"):
        load_rules(tmp_path / "mine.toml")


def test_a_rule_set_reads_what_conditions_and_reasons_name() -> None:
    source = HEAD + RULE.replace("金额 {amount}", "金额 {amount}，{payee_count_1h} 笔")
    assert read_rules(source, "x").features == ("payee_count_1h", "amount")


def test_the_severest_outcome_wins_and_every_hit_is_a_reason() -> None:
    other = RULE.replace("large", "huge").replace("1_000", "5_000").replace("hold", "deny")
    mild = RULE.replace("large", "any").replace("1_000", "1").replace("hold", "challenge")
    rules = read_rules(HEAD + RULE + other + mild, "x")
    decided = rules.decide(np.array([[6000.0], [2000.0], [2.0], [1.0], [np.nan]]))
    assert decided == [
        ("deny", ("large", "huge", "any")),
        ("hold", ("large", "any")),
        ("challenge", ("any",)),
        ("allow", ()),
        ("allow", ()),
    ]


def test_no_rules_allow_everything() -> None:
    rules = read_rules(HEAD, "x")
    assert rules.features == ()
    assert rules.decide(np.empty((2, 0))) == [("allow", ()), ("allow", ())]


MISTAKES = [
    ("amount > 1_000", "amount >", 9, "SyntaxError"),
    ("amount > 1_000", "(amount > 1) and (ratio > 2)", 9, "bitwise counterparts"),
    ("amount > 1_000", "amount > 1 & ratio > 2", 9, "each in ( )"),
    ("amount > 1_000", "1 < amount < 5", 9, "bitwise counterparts"),
    ("amount > 1_000", "amount + 1", 9, "must be true or false"),
    ("amount > 1_000", "1 > 0", 9, "no feature is read"),
    ("amount > 1_000", "amuont > 5", 9, "amuont is not a feature; amount is"),
    (
        "amount > 1_000",
        "customer_count_2h > 5",
        9,
        "customer_count_2h is not a feature; customer_count_24h is",
    ),
    ("amount > 1_000", "__import__('os') > amount", 9, "__import__() is not known"),
    ("amount > 1_000", "amount.real > 1", 9, "amount.real is not understood"),
    ("amount > 1_000", "amount > 'x'", 9, "when: "),
    ("amount > 1_000", " ", 9, "when is missing"),
    ('when = "amount > 1_000"\n', "", 5, "when is missing"),
    ('"large"', '"Large one"', 6, "small letters"),
    ('"large"', "7", 6, "small letters"),
    ('name = "large"\n', "", 5, "small letters"),
    ("version = 2", "version = 0", 7, "version must be a positive integer"),
    ("version = 2", "version = true", 7, "version must be a positive integer"),
    ("version = 2\n", "", 5, "version must be a positive integer"),
    ('"hold"', '"block"', 8, "'block' must be one of challenge, hold, deny"),
    ('"hold"', '"allow"', 8, "'allow' must be one of challenge, hold, deny"),
    ('reason.en = "amount {amount}"\n', "", 5, "reason.en is missing"),
    ('reason.en = "amount {amount}"', 'reason.en = " "', 11, "reason.en is missing"),
    ("amount {amount}", "amount {amoun}", 11, "{amoun} is not a feature; amount is"),
    ("amount {amount}", "amount {amount:.2f}", 11, "write {amount} alone"),
    ("amount {amount}", "amount {amount", 11, "expected '}'"),
    ("version = 2", "version = 2\ncolour = 3", 8, "'colour' is not part of a rule"),
    ("[[rule]]", "[rule]", 1, "each under its own [[rule]]"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "reason"), MISTAKES)
def test_a_mistake_in_a_rule(right: str, wrong: str, line: int, reason: str) -> None:
    assert right in RULE
    ((found, message),) = faults(HEAD + RULE.replace(right, wrong))
    assert reason in message
    assert found == line


HEAD_MISTAKES = [
    ('"CNY"', '"CNX"', 1, "not 'CNX'"),
    ('reference = "CNY"\n', "", 1, "reference must be an ISO 4217 currency"),
    ("other = 100", "other = 1.5", 2, "other must be a positive integer"),
    ("CNY = 100\n", "CNY = 100\nZZZ = 3\n", 5, "ZZZ is not an ISO 4217 currency"),
    ("CNY = 100\n", "CNY = 100\nUSD = -14\n", 5, "USD must be a positive integer"),
    ("CNY = 100", "CNY = 99", 4, "worth itself: CNY = 100"),
    ("[worth]\nCNY = 100\n", "", 1, "[worth] is missing"),
    ("other = 100", "other = 100\ncolour = 3", 3, "'colour' is not known here"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "reason"), HEAD_MISTAKES)
def test_a_mistake_before_the_rules(right: str, wrong: str, line: int, reason: str) -> None:
    assert right in HEAD
    ((found, message),) = faults(HEAD.replace(right, wrong) + RULE)
    assert reason in message
    assert found == line


@pytest.mark.parametrize(
    ("source", "line"),
    [("a = [1,\nb = 2\n", 2), ("\n\nx = 'abc\n", 3), ("a = 1\na = 2\n", 2), ("[worth]\nx = [", 2)],
)
def test_what_is_not_toml(source: str, line: int) -> None:
    ((found, message),) = faults(source)
    assert message.startswith("not TOML: ")
    assert found == line


def test_every_fault_of_a_file_is_told_at_once() -> None:
    second = RULE.replace("hold", "block").replace("amount >", "sum >")
    found = faults(HEAD.replace("100\n[", "x\n[", 1).replace("other = x", "other = 0") + RULE + second)
    assert [line for line, _ in found] == [2, 13, 15, 16]
    assert "'large' was used in line 5" in found[1][1]


@pytest.mark.parametrize("count", [201, 10_000])
def test_too_many_rules(count: int) -> None:
    """One polite line, and soon: they are counted before they are read."""
    many = "".join(RULE.replace("large", f"rule_{n}").replace("hold", "ban") for n in range(count))
    begin = time.process_time()
    ((line, message),) = faults(HEAD + many)
    assert (line, message.split(":")[0]) == (1, f"{count} rules are more than 200")
    assert time.process_time() - begin < 1.0


def test_a_flood_of_faults_is_cut_short() -> None:
    found = faults(HEAD + "".join(RULE.replace("large", f"r{n}").replace("hold", "ban") for n in range(120)))
    assert len(found) == limits.RULE_FAULTS + 1
    assert found[-1][1] == "and 70 more faults from here on"


def test_heads_within_a_text_do_not_mislead() -> None:
    """Lines are found by the rules' heads; where those cannot be told apart the first rule's line is given."""
    tricky = RULE.replace('"amount {amount}"', '"""\n[[rule]]\n"""') + RULE.replace("large", "other").replace(
        "2", "0"
    )
    ((line, message),) = faults(HEAD + tricky)
    assert message == "version must be a positive integer"
    assert line == 7
