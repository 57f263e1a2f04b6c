"""A database brought up to date: its schema, what is still in the clear in it, and whom a restore brought back."""

import msgspec

from tillkeeper import audit, parties, store
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import to_typeid
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.links import ACTOR
from tillkeeper.parties import Register
from tillkeeper.payments import webhooks
from tillkeeper.store import Store, rewriting
from tillkeeper.store.opening import Urls
from tillkeeper.vault import Vault, root_of

_SEALED = [("parties", "customers"), ("payments", "webhook_endpoints")]


class UpToDate(msgspec.Struct, frozen=True):
    """What had to be done: migrations, rows sealed that stood in the clear, customers erased again.

    `rewritten`: nothing of the clear texts is left in the tables' files.
    """

    applied: list[str]
    sealed: int
    rewritten: bool
    erased_again: list[str]


async def bring_up_to_date(chosen: Settings, urls: Urls) -> UpToDate:
    """Migrate, erase again whom a restored copy still knows, seal what is older than the vault.

    Safe to be killed at any point, and cheap when there is nothing to do. Raises what its parts raise.
    """
    applied = await store.migrate(urls.admin)
    async with Store.opened(urls.app, size=2) as opened:
        if applied:
            async with opened.tx("migrated") as tx:
                await audit.append(tx, ACTOR, "schema.migrated", "schema", " ".join(applied), "cli")
        erased = await erase_again(chosen, opened)
        sealed = await _seal(chosen, urls, opened)
    rewritten = not sealed or await rewriting.rewrite(urls.admin, _SEALED)
    return UpToDate(applied, sealed, rewritten, erased)


async def erase_again(chosen: Settings, opened: Store) -> list[str]:
    """Erase again whoever the register outside the database says was erased; who that was. Raises PrivateFileError."""
    return [to_typeid("cus", each) for each in await parties.replay(opened, Register(chosen.key_folder))]


async def _seal(chosen: Settings, urls: Urls, opened: Store) -> int:
    """Seal what stands in the clear, batch by batch; how many rows."""
    async with opened.tx("in the clear") as tx:
        if not (await parties.any_in_the_clear(tx) or await webhooks.any_in_the_clear(tx)):
            return 0
    await rewriting.unname_answers(urls.admin)  # first: once all names are sealed, nobody looks here again
    sealed = 0
    async with Vault.opened(opened, root_of(chosen), SystemClock()) as vault:
        for seal in (parties.seal_in_the_clear, webhooks.seal_in_the_clear):
            done = limits.SEALING_BATCH
            while done == limits.SEALING_BATCH:
                async with opened.tx("seal in the clear") as tx:
                    done = await seal(tx, vault, limits.SEALING_BATCH)
                sealed += done
    return sealed
