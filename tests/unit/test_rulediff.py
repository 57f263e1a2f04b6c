"""What another rule set would change."""

from tillkeeper.faces.console.rulediff import changes, heads
from tillkeeper.risk import RuleSet, read_rules

HEAD = 'reference = "CNY"\nother = 100\n[worth]\nCNY = 100\n'


def rule(name: str, when: str = "amount > 5", outcome: str = "hold") -> str:
    return (
        f'[[rule]]\nname = "{name}"\nversion = 1\noutcome = "{outcome}"\nwhen = "{when}"\n'
        'reason.zh = "一"\nreason.en = "one"\n'
    )


def read(*rules: str, head: str = HEAD) -> RuleSet:
    return read_rules(head + "".join(rules), "rules.toml")


def test_the_same_rules_differ_in_nothing() -> None:
    assert changes(read(rule("a")), read(rule("a"))) == []
    assert heads(read(rule("a")), read(rule("b"))) == ()


def test_rules_come_go_and_change() -> None:
    found = changes(
        read(rule("a"), rule("b"), rule("c")), read(rule("d"), rule("c", "amount > 7", "deny"), rule("a"))
    )
    assert [(each.kind, each.name) for each in found] == [("removed", "b"), ("changed", "c"), ("added", "d")]
    assert found[1].parts == (("outcome", "hold", "deny"), ("when", "amount > 5", "amount > 7"))
    assert found[2].after is not None


def test_what_holds_for_all_rules_is_named() -> None:
    other = read(rule("a"), head=HEAD.replace("other = 100", "other = 7"))
    assert heads(read(rule("a")), other) == (("other", "100", "7"),)


def test_moments_and_spans_are_written_as_people_read_them() -> None:
    limited = rule("a") + 'until = 2026-12-01T00:00:00Z\nat_most = "5 in 1h"\n'
    (found,) = changes(read(rule("a")), read(limited))
    assert ("until_us", "–", "2026-12-01T00:00:00Z") in found.parts
    assert ("at_most", "–", "count 5, within 1:00:00") in found.parts
