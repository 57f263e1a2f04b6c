"""One-time links for people: the way in of whoever has this machine's shell."""

import os
import pwd
import re
from collections.abc import Sequence
from typing import Final

from tillkeeper import access
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.output import CliError
from tillkeeper.store import Store, Tx


async def sign_in_url(
    store: Store,
    chosen: Settings,
    person: str | None = None,
    roles: Sequence[str] = (),
    *,
    as_they_are: bool = False,
) -> str:
    """A link that opens the console once. `person` unset: the user of the operating system.

    Somebody unknown becomes a person if roles are given; and the very first person of all, with every role of daily
    work. Raises CliError for anybody else who is unknown, and where the roles given are not the person's, unless people
    who are known are taken `as_they_are`.
    """
    handle = person or own_handle()
    async with store.tx("cli sign-in link") as tx:
        await _present(tx, handle, roles, as_they_are=as_they_are)
        token = await access.sign_in_link(tx, handle, SystemClock(), actor=ACTOR, origin=ORIGIN)
    return link_to(chosen, token)


async def first_link(store: Store, chosen: Settings) -> str | None:
    """A link for the user of the operating system while nothing else lets them in; None afterwards, and for others.

    Whoever starts a service reads its output or keeps it in a log: no place for a key that is not needed.
    """
    async with store.tx("cli first link") as tx:
        needed = not await access.is_anybody(tx) or own_handle() in await access.people_without_second_factor(
            tx
        )
    return await sign_in_url(store, chosen) if needed else None


def link_to(chosen: Settings, token: str) -> str:
    """The console's address with a token in it."""
    return f"{chosen.console_address}/sign-in?token={token}"


async def _present(tx: Tx, handle: str, roles: Sequence[str], *, as_they_are: bool) -> None:
    found = await access.person(tx, handle)
    if found is None:
        if not roles and await access.is_anybody(tx):
            remedy = "till people list shows who is; --role makes somebody new: --person anna --role operator"
            raise CliError(f"{handle} is nobody here", remedy)
        wanted = roles or access.WORKING_ROLES
        await access.add_person(tx, handle, "", wanted, SystemClock(), actor=ACTOR, origin=ORIGIN)
    elif not found.active:
        raise CliError(f"{handle} is suspended", f"till people suspend {handle} --lift")
    elif roles and not as_they_are and frozenset(roles) != found.roles:
        raise CliError(f"{handle} has other roles", f"till people roles {handle} changes them")


def own_handle() -> str:
    """The user of the operating system, as a handle."""
    return re.sub(r"[^a-z0-9._-]", "", user_name().lower()).lstrip("._-") or "owner"


def user_name() -> str:
    """The user of the operating system. Not by getpass: that believes the environment, and this name is put on record."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a user that has no name
        return f"uid{os.getuid()}"


ACTOR: Final = own_handle()
"""Who the audit trail says it was, with the origin `cli`: the user of the operating system, whoever has the shell."""

ORIGIN: Final = "cli"
