"""Who may do what: Cedar policies in readable files (policies/*.cedar), checked against policies/schema.cedarschema.

Nothing is allowed that no policy permits, and a `forbid` wins over every `permit`. Every policy has a name, its @id, which
is what decisions give as their reason.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final
from uuid import UUID

import cedarpy
import msgspec

from tillkeeper.access.types import Principal, Session

SCHEMA: Final = "schema.cedarschema"
_ACTIONS: Final = re.compile(r"action ([^;{]+?) appliesTo \{([^}]*)\}")
_NAME: Final = re.compile(r'"(\w+\.\w+)"')
_KINDS: Final = re.compile(r"resource: \[([\w, ]+)\]")
_PRINCIPALS: Final = re.compile(r"principal: \[([\w, ]+)\]")
_ENUM: Final = re.compile(r"entity (\w+) enum \[([^\]]*)\]")
_COMMENT: Final = re.compile(r"^\s*//.*$", re.MULTILINE)


class PolicyError(Exception):
    """The policies cannot be used; the message says which, and why."""


class Thing(msgspec.Struct, frozen=True):
    """What is acted upon: `kind` is an entity type of the schema, `facts` are its attributes.

    A person among the facts is written `person_fact(handle)`.
    """

    kind: str
    id: str
    facts: Mapping[str, Any] = {}


HOUSE: Final = Thing("House", "till")
"""The platform as a whole: what actions are about that concern nobody's own things."""


class Who(msgspec.Struct, frozen=True):
    """Who acts. `kind`: Person or Service; `groups`: the roles of a person, the scopes of a service key."""

    kind: str
    name: str
    groups: frozenset[str]


class Verdict(msgspec.Struct, frozen=True):
    """Whether it is allowed, and by which policies; denied by none: nothing permits it, the default."""

    allowed: bool
    by: tuple[str, ...]


def person_fact(handle: str) -> dict[str, Any]:
    """A person, as an attribute of a thing."""
    return {"__entity": {"type": "Person", "id": handle}}


def own_session(session_id: str, person: str) -> Thing:
    """A signed-in browser of somebody's."""
    return Thing("Session", session_id, {"person": person_fact(person)})


def somebody(handle: str) -> Thing:
    """A person, as the one acted upon."""
    return Thing("Person", handle)


class Policies:
    """The policies, read and checked once. `digest`: SHA-256 over schema and policies, in hexadecimal.

    `actions`: every action, with the kinds of things it can be about. `roles`, `scopes`: the groups there are.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        """From the texts by file name. Raises PolicyError for what does not parse, fit the schema, or has no name."""
        bare = _COMMENT.sub("", texts[SCHEMA])
        policies = "\n".join(text for name, text in sorted(texts.items()) if name != SCHEMA)
        try:
            self._schema = cedarpy.Schema.from_str(texts[SCHEMA])
            self._policies = cedarpy.PolicySet.from_str(policies)
            self.names = _names(policies)
        except ValueError as error:
            raise PolicyError(f"the policies cannot be read: {error}") from error
        checked = cedarpy.validate_policies(policies, self._schema)
        if not checked:
            names = checked.id_annotations_by_policy_id
            said = "; ".join(f"{names.get(each.policy_id, '?')}: {each.error}" for each in checked.errors)
            raise PolicyError(f"policies that do not fit the schema: {said}")
        self.actions = _actions(bare, _KINDS)
        self._actors = _actions(bare, _PRINCIPALS)
        enums = {name: frozenset(re.findall(r'"([^"]+)"', body)) for name, body in _ENUM.findall(bare)}
        self.roles, self.scopes = enums["Role"], enums["Scope"]
        whole = "\0".join(f"{name}\0{text}" for name, text in sorted(texts.items()))
        self.digest = hashlib.sha256(whole.encode()).hexdigest()
        self._permitted: dict[tuple[str, frozenset[str]], frozenset[str]] = {}

    def judge(self, who: Session | Principal | Who, action: str, thing: Thing = HOUSE) -> Verdict:
        """Whether somebody may do something to a thing.

        Raises PolicyError when the schema has no such action on such a thing: a fault of ours, never a permission.
        """
        actor = who if isinstance(who, Who) else who_is(who)
        kinds = self.actions.get(action)
        if kinds is None or thing.kind not in kinds:
            raise PolicyError(f"the schema has no action {action} on a {thing.kind}")
        if actor.kind not in self._actors[action]:
            return Verdict(allowed=False, by=())
        found = cedarpy.is_authorized(
            {
                "principal": {"type": actor.kind, "id": actor.name},
                "action": {"type": "Action", "id": action},
                "resource": {"type": thing.kind, "id": thing.id},
            },
            self._policies,
            json.dumps(_entities(actor, thing)),
            self._schema,
        )
        if found.decision == cedarpy.Decision.NoDecision or found.diagnostics.errors:
            raise PolicyError(f"{action} on a {thing.kind}: {'; '.join(found.diagnostics.errors)}")
        return Verdict(found.allowed, tuple(sorted(found.diagnostics.id_annotations_by_reason.values())))

    def permitted(self, kind: str, groups: frozenset[str]) -> frozenset[str]:
        """Every action on the house that the groups allow. Remembered: afterwards a decision is a look into a set."""
        known = self._permitted.get((kind, groups))
        if known is None:
            who = Who(kind, "", groups)
            known = frozenset(
                action
                for action, kinds in self.actions.items()
                if HOUSE.kind in kinds and self.judge(who, action).allowed
            )
            self._permitted[kind, groups] = known
        return known

    def check_routes(self, kind: str, routes: Mapping[str, Mapping[str, Any]]) -> None:
        """Make sure that every route (by name, with its options) declares an action that callers of the kind can do.

        Raises PolicyError naming the routes that do not; those with `public=True` are for everybody.
        """
        lost = [
            f"{name}: {options.get('action', 'no action=')}"
            for name, options in routes.items()
            if not options.get("public") and kind not in self._actors.get(options.get("action", ""), ())
        ]
        if lost:
            raise PolicyError(f"routes without an action that a {kind} can do: {'; '.join(sorted(lost))}")

    def permitting(self, kind: str, action: str, thing: Thing = HOUSE) -> list[tuple[str, str]]:
        """Which policies would permit it to others of a kind: (policy, role or scope that it takes)."""
        groups = self.roles if kind == "Person" else self.scopes
        found = [
            (policy, group)
            for group in sorted(groups)
            for verdict in [self.judge(Who(kind, "", frozenset({group})), action, thing)]
            if verdict.allowed
            for policy in verdict.by
        ]
        return sorted(found)


def who_is(who: Session | Principal) -> Who:
    """A signed-in person, or a service key, as policies see them."""
    if isinstance(who, Session):
        return Who("Person", who.person, who.roles)
    return Who("Service", str(who.id), who.scopes)


def service(principal: UUID, key: UUID, name: str, scopes: frozenset[str]) -> Principal:
    """A service key's principal, with everything that its scopes allow."""
    return Principal(principal, key, name, scopes, policies().permitted("Service", scopes))


@cache
def policies() -> Policies:
    """The policies that come with the package, read once. Raises PolicyError."""
    folder = files(__package__).joinpath("policies")
    found = {each.name: each.read_text("utf-8") for each in folder.iterdir()}
    return Policies({name: text for name, text in found.items() if name == SCHEMA or name.endswith(".cedar")})


def _names(policies: str) -> frozenset[str]:
    """The @id of every policy. Raises PolicyError for one without, or one given twice."""
    found = json.loads(cedarpy.policies_to_json_str(policies))["staticPolicies"].values()
    names = [each.get("annotations", {}).get("id") for each in found]
    if not all(names):
        raise PolicyError("every policy needs a name: @id(…)")
    if twice := {name for name in names if names.count(name) > 1}:
        raise PolicyError(f"policies of one name: {', '.join(sorted(twice))}")
    return frozenset(names)


def _actions(schema: str, place: re.Pattern[str]) -> dict[str, frozenset[str]]:
    """What each action applies to, read from the schema's text."""
    found: dict[str, frozenset[str]] = {}
    for head, body in _ACTIONS.findall(schema):
        kinds = place.search(body)
        assert kinds is not None, head
        names = _NAME.findall(head.partition(" in [")[0])
        found |= dict.fromkeys(names, frozenset(kinds[1].replace(" ", "").split(",")))
    return found


def _entities(who: Who, thing: Thing) -> list[dict[str, Any]]:
    group = "Role" if who.kind == "Person" else "Scope"
    parents = [{"type": group, "id": each} for each in sorted(who.groups)]
    actor = {"uid": {"type": who.kind, "id": who.name}, "attrs": {}, "parents": parents}
    if (thing.kind, thing.id) == (who.kind, who.name):
        return [actor]
    return [
        actor,
        {"uid": {"type": thing.kind, "id": thing.id}, "attrs": dict(thing.facts), "parents": []},
    ]
