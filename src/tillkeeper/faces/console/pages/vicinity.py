"""Who is near the subject of a case: the picture of neighbours, and the same as a list."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from markupsafe import Markup

from tillkeeper.base import limits
from tillkeeper.base.ids import to_typeid
from tillkeeper.faces.console.names import Named, names_of
from tillkeeper.faces.console.network import network
from tillkeeper.faces.console.render import Renderer
from tillkeeper.faces.console.texts import Texts
from tillkeeper.risk import cases
from tillkeeper.risk.cases import Dossier, Edge, Node, Picture
from tillkeeper.store import Tx
from tillkeeper.vault import Vault


class Neighbour(msgspec.Struct, frozen=True):
    """A party, device, address or account as the list shows it. `href`: its page, `case_href`: its own case; "" for none.

    `kind`: party, device, ip, account, or subject. `last_at`: when it was last tied to anybody here.
    """

    kind: str
    name: str
    href: str
    case_href: str
    last_at: datetime | None = None


class Shared(msgspec.Struct, frozen=True):
    """A thing, and who of the picture is tied to it."""

    thing: Neighbour
    by: tuple[Neighbour, ...]


async def read_vicinity(
    tx: Tx, vault: Vault, dossier: Dossier, now: datetime, renderer: Renderer
) -> Mapping[str, Any]:
    """What the page shows of neighbours."""
    subject = dossier.case.subject
    picture = await cases.vicinity(tx, dossier, now)
    parties = {
        UUID(text) for kind, text in (*(n.key for n in picture.nodes), *picture.hubs) if kind == "party"
    }
    names = await names_of(tx, vault, parties)
    suspects = await cases.suspects(tx, parties - {subject})
    people = _Words(names, suspects, renderer.texts)
    shared = _shared(picture, people)
    return {
        "picture": _drawn(picture, people, renderer) if len(picture.nodes) > 1 else None,
        "shared": shared,
        "near": picture,
        "hubs": [people.of(*key) for key in picture.hubs],
        "near_days": limits.TIE_DAYS,
        "near_hub": limits.TIE_HUB,
        "near_suspects": len(suspects),
    }


class _Words:
    """What each node is called, and where it leads."""

    def __init__(self, names: Mapping[UUID, Named], suspects: Mapping[UUID, UUID], texts: Texts) -> None:
        self._names, self._texts = names, texts
        self.suspects = {("party", str(party)): case for party, case in suspects.items()}

    def of(self, kind: str, text: str, last_at: datetime | None = None) -> Neighbour:
        """One node."""
        case = self.suspects.get((kind, text))
        case_href = f"/cases/{to_typeid(cases.PREFIX, case)}" if case else ""
        if kind != "party":
            return Neighbour(kind, self.label(kind, text), "", case_href, last_at)
        named = self._names.get(UUID(text))
        return Neighbour(kind, self.label(kind, text), named.href if named else "", case_href, last_at)

    def label(self, kind: str, text: str) -> str:
        """In few words: a name (a customer's is masked), or the end of an id."""
        if kind == "account":
            return self._texts("near.account_of", end=text[-6:])
        if kind != "party":
            return text
        named = self._names.get(UUID(text))
        if named is None:
            return f"…{text[-6:]}"
        return named.name or self._texts("party.erased")


def _shared(picture: Picture, people: _Words) -> list[Shared]:
    """Every device, address, account and payee of the picture, with the customers who are tied to it."""
    users: dict[int, list[Edge]] = {}
    for edge in picture.edges:
        users.setdefault(edge.thing, []).append(edge)
    return [
        Shared(
            people.of(*picture.nodes[thing].key, max(each.last_at for each in edges)),
            tuple(people.of(*picture.nodes[each.user].key, each.last_at) for each in edges),
        )
        for thing, edges in sorted(users.items())
    ]


def _drawn(picture: Picture, people: _Words, renderer: Renderer) -> Markup:
    def label(node: Node) -> str:
        return people.label(*node.key)

    t, counts = renderer.texts, [node.kind for node in picture.nodes]
    description = t(
        "near.described",
        parties=counts.count("party") - 1,
        devices=counts.count("device"),
        addresses=counts.count("ip"),
        accounts=counts.count("account"),
        suspects=len(people.suspects),
    )
    return network(picture, label, set(people.suspects), t("near.title"), description)
