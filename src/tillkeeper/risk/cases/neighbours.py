"""Who is near a customer or merchant: the ties read hop by hop, each bounded, and the picture made of them."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec.structs import replace

from tillkeeper.base import limits
from tillkeeper.risk.cases.graph import FARTHEST, Key, Picture, Tie, draw, hubs_of, party
from tillkeeper.store import Tx, columns, queries

_sql = queries(__package__, "ties.sql")


async def neighbours(
    tx: Tx, subject: UUID, others: Sequence[tuple[UUID, datetime]], now: datetime
) -> Picture:
    """The picture around a subject. `others`: customers that the case ties to it (who paid this merchant), and when last."""
    since = now - timedelta(days=limits.TIE_DAYS)
    start = party(subject)
    own = [Tie("payee", str(subject), customer, at, 1) for customer, at in others if customer != subject]
    ties, hubs, asked = {_name(each): each for each in own}, set[Key](), set[Key]()
    edge, cut = _nearest([start], own, asked)
    for _ in range(FARTHEST + 1):  # once more than the picture reaches: only then it is known what is a hub
        found, new_hubs = await _hop(tx, edge, since)
        asked, hubs = asked | edge, hubs | new_hubs
        ties |= {_name(each): each for each in found}
        edge, more = _nearest((), found, asked | hubs)
        cut = cut or more
        if not edge:
            break
    hubs.discard(start)
    picture = draw(start, ties.values(), hubs)
    return replace(picture, cut=picture.cut or cut)


def _nearest(first: Collection[Key], ties: Sequence[Tie], known: Collection[Key]) -> tuple[set[Key], bool]:
    """Whom to ask about next: as many as a picture holds, the most tied first; and whether that leaves somebody out."""
    counts = Counter(end for each in ties for end in each.ends if end not in known)
    ordered = [*first, *sorted(counts.keys() - set(first), key=lambda key: (-counts[key], key))]
    return set(ordered[: limits.NEIGHBOURS]), len(ordered) > limits.NEIGHBOURS


async def suspects(tx: Tx, subjects: Collection[UUID]) -> dict[UUID, UUID]:
    """Those of some customers and merchants that have an open case, or one decided as fraud: the newest case of each."""
    return dict(await tx.tuples(_sql.suspects, {"subjects": columns.uuids(subjects)}))


async def _hop(tx: Tx, keys: Collection[Key], since: datetime) -> tuple[list[Tie], set[Key]]:
    """The ties of some nodes, and which of them are hubs: those lead nowhere."""
    if not keys:
        return [], set()
    tied = await _tied_to(tx, keys, since)
    hubs = hubs_of(tied)
    customers = [UUID(text) for kind, text in sorted(keys) if kind == "party"]
    return [each for each in tied if each.ends[1] not in hubs] + await _ties_of(tx, customers, since), hubs


async def _tied_to(tx: Tx, keys: Collection[Key], since: datetime) -> list[Tie]:
    named = [("payee" if kind == "party" else kind, text) for kind, text in sorted(keys)]
    params = {
        "kinds": columns.texts([kind for kind, _ in named]),
        "entities": columns.texts([text for _, text in named]),
        "since": since,
        "limit": limits.TIE_HUB + 1,
    }
    return [Tie(*row) for row in await tx.tuples(_sql.tied_to, params)]


async def _ties_of(tx: Tx, customers: Sequence[UUID], since: datetime) -> list[Tie]:
    if not customers:
        return []
    params = {"customers": columns.uuids(customers), "since": since, "limit": limits.TIES_OF_ONE}
    return [Tie(*row) for row in await tx.tuples(_sql.ties_of, params)]


def _name(tie: Tie) -> tuple[str, str, UUID]:
    return tie.kind, tie.entity, tie.customer
