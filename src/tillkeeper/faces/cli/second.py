"""What a command does that takes four eyes: asks, says where the answer is given, waits for it, and goes on."""

import asyncio
import sys
from datetime import timedelta

import msgspec

from tillkeeper import access
from tillkeeper.access import Approval, Asker
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.links import own_handle
from tillkeeper.faces.cli.output import CliError
from tillkeeper.store import Store

_POLL_SECONDS = 1.0


async def second_person(
    store: Store, chosen: Settings, deed: access.approvals.Deed, terms: msgspec.Struct, reason: str = ""
) -> Approval:
    """Wait until a second person agrees to exactly these terms in the console, and use that up for this one run.

    Ctrl-C leaves the question standing: the same command finds it again. Raises CliError when the answer is no, or none
    comes in time.
    """
    clock, asker = SystemClock(), Asker(own_handle(), None, "cli")
    run, end = f"run {new_id()}", clock.now() + timedelta(seconds=limits.APPROVAL_SECONDS)
    told = False
    while clock.now() < end:
        async with store.tx("cli second person") as tx:
            said = await access.approvals.claim(tx, deed, terms, asker, run, clock, reason)
        if isinstance(said, Approval):
            return said
        if said.code != "approval_needed":
            raise CliError(said.title, said.detail)
        if not told:
            where = f"{chosen.console_address}/approvals#{said.approval}"
            sys.stderr.write(
                f"A second person must agree, here: {where}\nWaiting; Ctrl-C leaves the question there.\n"
            )
            told = True
        await asyncio.sleep(_POLL_SECONDS)
    raise CliError("nobody agreed in time", "run it again to ask anew")
