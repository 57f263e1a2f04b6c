"""Features that an installation declared itself, as a model knows them: by name, in words, and by the fingerprint of how
each is computed, so that a model never reads another thing under the same name.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

import msgspec

from tillkeeper.risk.declarations import Unit, as_json
from tillkeeper.risk.features import FEATURES, Catalogue, Feature


class Own(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A declared feature that a model reads. `fingerprint`: see `computed_as`; `unit`, `zh`, `en`: as it was declared."""

    name: str
    fingerprint: str
    unit: Unit
    zh: str
    en: str


def own_among(names: Iterable[str], catalogue: Catalogue) -> tuple[Own, ...]:
    """Those of the names that do not come with the package."""
    return tuple(
        Own(name, computed_as(name, catalogue), one.unit, one.zh, one.en)
        for name in names
        if name not in FEATURES
        for one in [catalogue[name]]
    )


def computed_as(name: str, catalogue: Catalogue) -> str:
    """The fingerprint of a declaration and of all that were declared here and it is computed from; words aside."""
    chain = {name, *(catalogue.reading([name]) - FEATURES.keys())}
    declared = {one.name: one for one in catalogue.declarations if one.name in chain}
    kept = [as_json(msgspec.structs.replace(declared[each], zh="", en="")) for each in sorted(chain)]
    return sha256("\n".join(kept).encode()).hexdigest()


def misfit(own: Iterable[Own], catalogue: Catalogue) -> str | None:
    """Why a model that reads these must not score here, and what to do about it; None when nothing is against it."""
    for each in own:
        if each.name not in catalogue:
            return (
                f"the model reads {each.name}, which was declared when it was made and is not computed here: declare it"
                " again just as it was (till risk features add), or train a model without it"
            )
        if computed_as(each.name, catalogue) != each.fingerprint:
            return (
                f"the model reads {each.name}, which is declared differently here from when it was made:"
                f" train it again (till risk train --with {each.name})"
            )
    return None


def with_own(own: Sequence[Own]) -> dict[str, Feature]:
    """The package's features, and these as the model knows them; their places mean nothing."""
    return {**FEATURES, **{each.name: Feature(-1, each.name, each.unit, each.zh, each.en) for each in own}}
