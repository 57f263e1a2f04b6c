"""What most commands begin with: the settings, the database, a store on an up-to-date schema."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from tillkeeper.base.results import Refused
from tillkeeper.base.settings import Settings, SettingsError, read_settings
from tillkeeper.faces.cli.output import CliError
from tillkeeper.store import MigrationError, Store, StoreUnavailableError, pending
from tillkeeper.store.embedded import EmbeddedError, Urls, database

T = TypeVar("T")


def settings() -> Settings:
    """The settings as configured. Raises CliError."""
    try:
        return read_settings()
    except SettingsError as error:
        raise CliError(str(error), "till doctor lists every setting and where it comes from") from error


def run(work: Coroutine[Any, Any, T]) -> T:
    """Carry a command's work out; the faults that a user can mend become a CliError."""
    try:
        return asyncio.run(work)
    except Refused as error:
        field = f" ({error.refusal.field})" if error.refusal.field else ""
        raise CliError(f"{error.refusal.title}{field}", error.refusal.detail) from error
    except (EmbeddedError, MigrationError) as error:
        raise CliError(str(error)) from error
    except StoreUnavailableError as error:
        remedy = "is TILL_DATABASE_URL right and the server up? till doctor looks"
        raise CliError(str(error), remedy) from error


@asynccontextmanager
async def opened(chosen: Settings) -> AsyncIterator[tuple[Store, Urls]]:
    """A store on the database of the settings. Raises CliError when its schema is not up to date."""
    async with database(chosen) as urls:
        if missing := await pending(urls.admin):
            raise CliError(
                f"the database lacks {len(missing)} migrations ({missing[0]} …)", "run: till migrate"
            )
        async with Store.opened(urls.app, size=2) as store:
            yield store, urls
