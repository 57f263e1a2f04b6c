"""The policies themselves: what may not stand in them, what wins over what, and that they speak of what there is."""

import re

import pytest

from tillkeeper import access
from tillkeeper.access import HOUSE, ROLES, SCOPES, Policies, PolicyError, Thing, Who, policies
from tillkeeper.access.policy import SCHEMA, person_fact

SMALL = """
// a comment with a word like action "x.y" is no action
entity Role enum ["clerk", "boss"];
entity Scope enum ["all"];
entity Person in [Role];
entity Service in [Scope];
entity House;
entity Box { owner: Person };
action "look";
action "till.view" in ["look"] appliesTo { principal: [Person, Service], resource: [House] };
action "box.open", "box.close" appliesTo { principal: [Person], resource: [Box] };
"""
FINE = '@id("bosses see") permit (principal in Role::"boss", action in Action::"look", resource);'


def small(*written: str) -> Policies:
    return Policies({SCHEMA: SMALL, "a.cedar": "\n".join(written)})


def person(name: str, *roles: str) -> Who:
    return Who("Person", name, frozenset(roles))


def box(owner: str) -> Thing:
    return Thing("Box", "1", {"owner": person_fact(owner)})


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("permit (principal, action, resource", "cannot be read"),
        ('permit (principal in Role::"boss", action in Action::"look", resource);', "needs a name"),
        (FINE + FINE, "of one name: bosses see"),
        ('@id("x") permit (principal in Role::"king", action in Action::"look", resource);', "king"),
        ('@id("x") permit (principal, action == Action::"till.rob", resource);', "till.rob"),
        (
            '@id("a typo") permit (principal, action == Action::"box.open", resource) when { resource.ownr == principal };',
            "a typo",
        ),
    ],
)
def test_what_cannot_stand_in_a_policy(written: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        small(written)


def test_nothing_is_allowed_that_nothing_permits() -> None:
    found = small(FINE)
    assert found.judge(person("anna", "boss"), "till.view").by == ("bosses see",)
    for who in (person("anna", "clerk"), person("anna"), Who("Service", "shop", frozenset({"all"}))):
        assert found.judge(who, "till.view") == access.Verdict(allowed=False, by=())
    assert not found.judge(person("anna", "boss"), "box.open", box("anna")).allowed


def test_a_forbid_wins_over_every_permit_and_is_named() -> None:
    found = small(
        '@id("all") permit (principal is Person, action == Action::"box.open", resource);',
        '@id("own") permit (principal is Person, action == Action::"box.open", resource) when { resource.owner == principal };',
        '@id("never") forbid (principal in Role::"clerk", action == Action::"box.open", resource);',
    )
    assert found.judge(person("anna", "boss"), "box.open", box("anna")).by == ("all", "own")
    assert found.judge(person("anna", "boss", "clerk"), "box.open", box("anna")) == access.Verdict(
        allowed=False, by=("never",)
    )
    assert found.permitting("Person", "box.open", box("anna")) == [("all", "boss")]


def test_a_question_that_makes_no_sense_is_a_fault_and_never_a_yes() -> None:
    found = small('@id("all") permit (principal, action, resource);')
    boss = person("anna", "boss")
    for action, thing in (("till.rob", HOUSE), ("box.open", HOUSE), ("till.view", box("anna"))):
        with pytest.raises(PolicyError, match="no action"):
            found.judge(boss, action, thing)
    with pytest.raises(PolicyError):
        found.judge(boss, "box.open", Thing("Box", "1", {"ownr": "anna"}))
    with pytest.raises(PolicyError):
        found.judge(boss, "box.open", Thing("Box", "1"))
    assert not found.judge(Who("Service", "shop", frozenset({"all"})), "box.open", box("anna")).allowed


def test_what_groups_permit_is_worked_out_once() -> None:
    found = small(FINE)
    boss = frozenset({"boss"})
    assert found.permitted("Person", boss) == {"till.view"}
    assert found.permitted("Person", boss) is found.permitted("Person", frozenset({"boss"}))
    assert found.permitted("Person", frozenset()) == frozenset()


def test_the_hash_is_of_every_word() -> None:
    same, other = small(FINE), small(FINE.replace("boss", "clerk", 1).replace('"boss"', '"clerk"'))
    assert same.digest == small(FINE).digest
    assert same.digest != other.digest
    assert re.fullmatch("[0-9a-f]{64}", policies().digest)


def test_the_schema_knows_our_roles_and_scopes() -> None:
    assert policies().roles == frozenset(ROLES)
    assert policies().scopes == SCOPES


def test_a_name_that_could_be_a_word_of_cedar_is_a_name() -> None:
    for name in ('anna" || true', "a\\b", "a\nb", "Person::x"):
        assert not policies().judge(Who("Person", name, frozenset()), "payment.view").allowed
        thing = access.own_session("1", name)
        assert policies().judge(Who("Person", name, frozenset()), "session.end", thing).allowed
        assert not policies().judge(Who("Person", "eve", frozenset()), "session.end", thing).allowed


def test_no_admin_role_does_the_business() -> None:
    for role in access.ADMIN_ROLES:
        allowed = policies().permitted("Person", frozenset({role}))
        assert not {each for each in allowed if each.startswith(("payment.", "customer.", "held."))}, role
    everything = frozenset(ROLES)
    assert not policies().permitted("Person", everything) & {
        "payment.pay",
        "payment.refund",
        "payment.withdraw",
    }
