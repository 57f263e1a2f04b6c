"""From the settings to a store that can be used: one's own database or the embedded one, its schema up to date."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from tillkeeper.base import limits
from tillkeeper.base.settings import Settings
from tillkeeper.store.database import Store
from tillkeeper.store.embedded import EmbeddedServer
from tillkeeper.store.migrate import MigrationError, pending
from tillkeeper.store.transport import guarded


class Urls(NamedTuple):
    """Where the database is: for the application's role, and for the role that migrates."""

    app: str
    admin: str


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[Urls]:
    """The database that the settings name: one's own (a remote one must prove who it is), or the embedded one, running
    for the block.

    Raises EmbeddedError.
    """
    if settings.database_url is not None:
        admin = settings.admin_database_url or settings.database_url
        yield Urls(guarded(settings.database_url), guarded(admin))
        return
    async with EmbeddedServer(settings.home).running() as server:
        yield Urls(server.app_url, server.admin_url)


@asynccontextmanager
async def opened(
    settings: Settings, *, size: int = limits.POOL_MAX, by_index: bool = False
) -> AsyncIterator[tuple[Store, Urls]]:
    """A store with `size` connections on the database of the settings; `by_index` as in Store.opened.

    Raises EmbeddedError, StoreUnavailableError, and MigrationError when the schema is not up to date.
    """
    async with database(settings) as urls:
        if missing := await pending(urls.admin):
            raise MigrationError(
                f"the database lacks {len(missing)} migrations ({missing[0]} …): run till migrate"
            )
        async with Store.opened(urls.app, size=size, by_index=by_index) as store:
            yield store, urls


def visited(settings: Settings) -> str | None:
    """Where the database is, as the application's role sees it, for a visitor that starts nothing and keeps nothing running;
    None while the embedded one does not run.
    """
    if settings.database_url is not None:
        return guarded(settings.database_url)
    return EmbeddedServer(settings.home).visit()
