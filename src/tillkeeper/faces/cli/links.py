"""One-time links for people: the way in of whoever has this machine's shell."""

import getpass
import re
from collections.abc import Sequence
from typing import Final

from tillkeeper import access
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.opening import face_url
from tillkeeper.faces.cli.output import CliError
from tillkeeper.store import Store, Tx

ACTOR: Final = "cli"


async def sign_in_url(
    store: Store, chosen: Settings, person: str | None = None, roles: Sequence[str] = ()
) -> str:
    """A link that opens the console once. `person` unset: the user of the operating system.

    Somebody unknown becomes a person if roles are given; and the very first person of all, with every role of daily
    work. Raises CliError for anybody else who is unknown, and where the roles given are not the person's.
    """
    handle = person or own_handle()
    async with store.tx("cli sign-in link") as tx:
        await _present(tx, handle, roles)
        token = await access.sign_in_link(tx, handle, SystemClock(), actor=ACTOR)
    return f"{face_url(chosen, chosen.console_port)}/sign-in?token={token}"


async def _present(tx: Tx, handle: str, roles: Sequence[str]) -> None:
    found = await access.person(tx, handle)
    if found is None:
        if not roles and await access.is_anybody(tx):
            remedy = "till people list shows who is; --role makes somebody new: --person anna --role operator"
            raise CliError(f"{handle} is nobody here", remedy)
        wanted = roles or access.WORKING_ROLES
        await access.add_person(tx, handle, "", wanted, SystemClock(), actor=ACTOR)
    elif not found.active:
        raise CliError(f"{handle} is suspended", f"till people suspend {handle} --lift")
    elif roles and frozenset(roles) != found.roles:
        raise CliError(f"{handle} has other roles", f"till people roles {handle} changes them")


def own_handle() -> str:
    """The user of the operating system, as a handle."""
    return re.sub(r"[^a-z0-9._-]", "", getpass.getuser().lower()).lstrip("._-") or "owner"
