"""The channels that alerts go out by: Apprise addresses in a private file. The library blocks, so each call has a thread."""

import asyncio
import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from tillkeeper.base import limits
from tillkeeper.store.private import read_private

T = TypeVar("T")
Tone = Literal["failure", "warning", "success", "info"]


class ChannelError(Exception):
    """The file of channels cannot be used. The message says which line and why, never the address: it holds secrets."""


class Channel:
    """One address. `digest` tells it apart without saying it; `name` is the kind of service and its host."""

    def __init__(self, digest: str, name: str, server: Any) -> None:
        self.digest = digest
        self.name = name
        self._server = server

    async def send(self, title: str, body: str, tone: Tone) -> bool:
        """Whether it was taken within CHANNEL_SECONDS."""
        try:
            async with asyncio.timeout(limits.CHANNEL_SECONDS):
                return bool(
                    await _in_thread(lambda: self._server.notify(body=body, title=title, notify_type=tone))
                )
        except Exception:  # noqa: BLE001 - whatever the library or the service did: it was not taken
            return False


def read_channels(path: Path | None) -> tuple[Channel, ...]:
    """The channels of a file, one address a line; lines with # say something. None: no channels.

    Raises ChannelError, and PrivateFileError when others can read the file.
    """
    if path is None:
        return ()
    content = read_private(path)
    if content is None:
        raise ChannelError(f"TILL_ALERT_CHANNELS: {path} is not there")
    lines = [line.strip() for line in content.decode(errors="replace").splitlines()]
    addresses = [(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
    if len(addresses) > limits.CHANNELS:
        raise ChannelError(f"TILL_ALERT_CHANNELS: {path}: more than {limits.CHANNELS} addresses")
    return tuple(_channel(path, number, address) for number, address in addresses)


def _channel(path: Path, number: int, address: str) -> Channel:
    # It takes half a second and 30 MB, which only those who have channels spend.
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its complaints quote addresses, secrets and all
    server = apprise.Apprise.instantiate(address, suppress_exceptions=True)
    if server is None:
        raise ChannelError(
            f"TILL_ALERT_CHANNELS: {path}, line {number}: no Apprise address, as in mailto://…"
        )
    name = f"{address.partition('://')[0]}://{getattr(server, 'host', None) or '…'}"
    return Channel(hashlib.sha256(address.encode()).hexdigest()[:16], name, server)


async def send_all(
    channels: Sequence[Channel], title: str, body: str, tone: Tone
) -> tuple[list[Channel], list[Channel]]:
    """Tell all of them at once: those that took it, and those that did not."""
    taken = await asyncio.gather(*(each.send(title, body, tone) for each in channels))
    return (
        [each for each, ok in zip(channels, taken, strict=True) if ok],
        [each for each, ok in zip(channels, taken, strict=True) if not ok],
    )


async def _in_thread(work: Callable[[], T]) -> T:
    """In a thread that nobody waits for: one that hangs keeps neither us nor the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type] # the result of `work`

    def carry() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as raised:  # noqa: BLE001 - it is handed to whoever waits
            error = raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            return  # the loop has ended

    threading.Thread(target=carry, name="alert channel", daemon=True).start()
    return await done
