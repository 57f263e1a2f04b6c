"""`till serve api|console|agent|status`: one process each. They meet only in PostgreSQL."""

import asyncio
import gc
import importlib
import logging
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import msgspec
import typer
import uvicorn
import uvloop

from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.discretion import DiscreetFormatter
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.certificates import server_context
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import CliError, say
from tillkeeper.faces.cli.whole import WholeAnswers

app = typer.Typer(no_args_is_help=True, add_completion=False)
log = logging.getLogger(__name__)

CRASHED: Final = 1
"""Exit code of a process that may be started again; one that CANNOT would fail the same way."""

WithParent = Annotated[
    bool, typer.Option("--with-parent", hidden=True, help="Stop when standard input ends: the parent died.")
]
Fd = Annotated[
    int | None, typer.Option("--fd", hidden=True, help="The socket that the parent keeps while we restart.")
]
Tls = Annotated[
    bool, typer.Option("--tls", help="Serve by TLS: TILL_TLS_CERTIFICATE, or a development CA of our own.")
]


@app.callback()
def serve() -> None:
    """Start one process: api, console, agent or status. They meet only in PostgreSQL; till up starts all of them."""


@app.command()
def api(*, tls: Tls = False, with_parent: WithParent = False, fd: Fd = None) -> None:
    """Take payments: the public API, on TILL_HOST:TILL_API_PORT (127.0.0.1:8080).

    Example: till serve api --tls
    """
    chosen = with_tls(_begin(with_parent), asked=tls)
    _serve("api", chosen, chosen.api_port, fd)


@app.command()
def console(*, tls: Tls = False, with_parent: WithParent = False, fd: Fd = None) -> None:
    """Show and operate: the console, on TILL_HOST:TILL_CONSOLE_PORT (127.0.0.1:8081).

    Example: till serve console --tls
    """
    chosen = with_tls(_begin(with_parent), asked=tls)
    _serve("console", chosen, chosen.console_port, fd)


@app.command()
def agent(*, with_parent: WithParent = False) -> None:
    """Work behind the scenes: webhooks, rails, expiries. One is active by lease; others wait to take over.

    Example: till serve agent
    """
    chosen = _begin(with_parent)
    # Python's own loop: uvloop cannot start a program as another user, and PostgreSQL's do not run as root.
    _to_the_end(_roof().agent(chosen), asyncio.new_event_loop)


@app.command()
def status(*, tls: Tls = False, with_parent: WithParent = False, fd: Fd = None) -> None:
    """Tell everybody what works: the status page, on TILL_HOST:TILL_STATUS_PORT (127.0.0.1:8082), also without a database.

    Example: till serve status
    """
    chosen = with_tls(_begin(with_parent), asked=tls)
    _serve("status", chosen, chosen.status_port, fd)


def with_tls(chosen: Settings, *, asked: bool) -> Settings:
    """The settings; with TLS when the command asked for it."""
    return msgspec.structs.replace(chosen, tls=chosen.tls or asked)


def listen(host: str, port: int) -> socket.socket:
    """The bound socket. Raises CliError when the port is taken: said at once, not after everything was built."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        ports = "TILL_API_PORT, TILL_CONSOLE_PORT or TILL_STATUS_PORT"
        remedy = f"end the program that uses it (ss -ltnp shows which), or set {ports}"
        raise CliError(f"port {port} on {host} cannot be used: {error.strerror}", remedy) from error
    return bound


def _begin(with_parent: bool) -> Settings:  # noqa: FBT001 - the flag as it came
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    logging.Formatter.converter = time.gmtime
    for handler in root.handlers:
        handler.setFormatter(DiscreetFormatter("%(asctime)sZ %(levelname)s %(name)s: %(message)s"))
    if with_parent:
        threading.Thread(target=_stop_with_parent, daemon=True).start()
    return settings()


def _stop_with_parent() -> None:
    while os.read(0, 4096):  # not sys.stdin: its lock would be held when the interpreter ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _roof() -> Any:
    # By name: the roof knows the faces, so no face may import it.
    return importlib.import_module("tillkeeper.wiring")


def _serve(name: str, chosen: Settings, port: int, fd: int | None) -> None:
    context = server_context(chosen, SystemClock())
    with listen(chosen.host, port) if fd is None else socket.socket(fileno=fd) as bound:
        _to_the_end(_serving(getattr(_roof(), name)(chosen), bound, context, chosen.trusted_proxies))


def _to_the_end(work: Any, loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop) -> None:
    try:
        run(work, loop)
    except KeyboardInterrupt:
        say("stopped")
    except CliError:
        raise
    except Exception as error:
        log.exception("this process cannot go on")
        raise typer.Exit(CRASHED) from error


async def _serving(
    building: Any, bound: socket.socket, context: ssl.SSLContext | None, trusted_proxies: str
) -> None:
    async with building as application:
        _spare_the_collector()
        config = uvicorn.Config(
            application,
            loop="none",
            http=WholeAnswers,
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=bool(trusted_proxies),  # else anybody could say whence they come
            forwarded_allow_ips=trusted_proxies,
            backlog=limits.MAX_QUEUE,
            timeout_graceful_shutdown=limits.SERVE_DRAIN_SECONDS,
        )
        config.load()
        config.ssl = context
        server = _Server(config)
        serving = asyncio.ensure_future(server.serve(sockets=[bound]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.should_exit = True
            await serving
            raise


def _spare_the_collector() -> None:
    """What was built stays; and a turn makes thousands of values that all die with it, none of them in cycles.

    With Python's own thresholds a sixth of the api's time went into looking for garbage among them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*limits.COLLECTOR_THRESHOLDS)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # run() hears them, for everything that has to stop in order

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for each in self.servers:
            each.close()
        # Whoever was let in a moment ago has not spoken yet, and would be hung up on.
        await asyncio.sleep(limits.SERVE_LAST_WORDS_SECONDS)
        await super().shutdown(sockets)
