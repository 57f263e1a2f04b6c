"""How people prove who they are: a package of its own within access, for the console alone (its libraries are heavy).

`Entrance` has the ways in; `passkeys`, `totp` and `factors` are what a person who is signed in changes.
"""

from tillkeeper.access.entrance import factors, passkeys, totp
from tillkeeper.access.entrance.factors import Factors
from tillkeeper.access.entrance.passkeys import Passkey, Question, Site
from tillkeeper.access.entrance.provider import Provider
from tillkeeper.access.entrance.totp import Keeper
from tillkeeper.access.entrance.ways import Entrance

__all__ = [
    "Entrance",
    "Factors",
    "Keeper",
    "Passkey",
    "Provider",
    "Question",
    "Site",
    "factors",
    "passkeys",
    "totp",
]
