"""What commands begin with: the settings, work that signals end in order, addresses for people."""

import asyncio
import signal
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from tillkeeper.base.results import Refused
from tillkeeper.base.settings import Settings, SettingsError, read_settings
from tillkeeper.faces.cli.output import CliError
from tillkeeper.store import MigrationError, StoreUnavailableError, Tx
from tillkeeper.store.embedded import EmbeddedError
from tillkeeper.store.opening import opened
from tillkeeper.store.private import PrivateFileError
from tillkeeper.vault import VaultError

T = TypeVar("T")


def settings() -> Settings:
    """The settings as configured. Raises CliError."""
    try:
        return read_settings()
    except SettingsError as error:
        raise CliError(str(error), "till doctor lists every setting and where it comes from") from error


def run(work: Coroutine[Any, Any, T], loop: Callable[[], AbstractEventLoop] | None = None) -> T:
    """Carry a command's work out; the faults that a user can mend become a CliError.

    Ctrl-C and SIGTERM cancel the work, which ends in order; then KeyboardInterrupt is raised. More of them are
    heard and change nothing, so nobody can interrupt the stopping.
    """
    try:
        with asyncio.Runner(loop_factory=loop) as runner:
            return runner.run(_until_signal(work))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    except Refused as error:
        field = f" ({error.refusal.field})" if error.refusal.field else ""
        raise CliError(f"{error.refusal.title}{field}", error.refusal.detail) from error
    except (EmbeddedError, MigrationError, VaultError, PrivateFileError) as error:
        raise CliError(str(error)) from error
    except StoreUnavailableError as error:
        remedy = "is TILL_DATABASE_URL right and the server up? till doctor looks"
        raise CliError(str(error), remedy) from error


async def in_tx(name: str, work: Callable[[Tx], Awaitable[T]]) -> T:
    """What a command does in one transaction on the database of the settings; `name` as in store.tx. Raises as `opened` does."""
    async with opened(settings(), size=1) as (store, _), store.tx(name) as tx:
        return await work(tx)


async def _until_signal(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, _cancel_once(task))
    return await task


def _cancel_once(task: asyncio.Task[Any]) -> Callable[[], None]:
    def heard() -> None:
        if not task.cancelling():
            task.cancel()

    return heard


def face_url(chosen: Settings, port: int) -> str:
    """The address of a face, as a browser on this machine takes it."""
    host = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
    return f"{'https' if chosen.tls else 'http'}://{host}:{port}"
