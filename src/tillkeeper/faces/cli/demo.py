"""`till demo`."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
import typer

from tillkeeper import access, ledger
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.settings import ENVIRONMENT_PREFIX, Settings
from tillkeeper.faces.cli.links import sign_in_url
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import FOUND, CliError, say
from tillkeeper.faces.cli.pair import TourError
from tillkeeper.faces.cli.platform import Platform, platform
from tillkeeper.faces.cli.serve import listen
from tillkeeper.faces.cli.tour import Tour, Toured
from tillkeeper.faces.cli.vigil import Vigil, Watched
from tillkeeper.maintenance import reports
from tillkeeper.simulation import (
    Api,
    Street,
    Trouble,
    Unanswered,
    Wire,
    build_city,
    city_life,
    populate,
    summary,
)
from tillkeeper.store import Store, is_transient
from tillkeeper.store.opening import Urls

app = typer.Typer(add_completion=False)

TEAM: Final = (
    ("you", ("operator", "risk_analyst", "support", "developer")),
    ("colleague", ("operator", "risk_analyst", "security")),
)
FOUR_EYES: Final = 250_000
"""Minor units: low enough that a held payment of the city takes two people; more than it withdraws at once."""

CALENDAR: Final = Path(__file__).with_name("demo_calendar.toml")

CONNECTIONS: Final = 64
KEY_DAYS: Final = 30
_ACTOR: Final = "till demo"
_LIVE_SECONDS: Final = 1.0
_PLAIN_SECONDS: Final = 5.0
_BOOKS_SECONDS: Final = 5.0
_RECENT_SECONDS: Final = 10.0
_TOUR_AFTER_SECONDS: Final = 10.0  # of life: guardrails compare with the minute before


class Fault(StrEnum):
    """What may be planted in the tour of maintenance."""

    MONEY = "money"


class Wish(msgspec.Struct, frozen=True):
    """How the city shall live: for so many seconds (None: until Ctrl-C), at `rate` payments a second."""

    seconds: float | None
    seed: int
    rate: float
    fault: Fault | None = None


@app.command()
def demo(
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Stop by itself after so long; unset: at Ctrl-C.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which city: the same seed gives the same one.")] = 1,
    rate: Annotated[float, typer.Option(min=1, max=2000, help="Payments a second, about.")] = 100.0,
    fault: Annotated[
        Fault | None, typer.Option(help="money: meddle with it while the tour's run is at work.")
    ] = None,
) -> None:
    """Start everything and let a city of customers, shops and thieves live in it.

    The city finds its accounts again when it was here before. Meanwhile a tour of maintenance: a backup, a plan rehearsed
    on a restored copy, its run under traffic, a report; and one of the watch: a case from alert to label, a model, its
    challenger. The city lives on until both are over. At the end: a summary, and
    the same as one line of JSON. Exit code 1 if the books do not balance, an acknowledged payment is missing, or
    the tours did not end as they were meant to.

    Example: till demo --seconds 30
    """
    try:
        faultless = run(_demo(_shown(settings()), Wish(seconds, seed, rate, fault)))
    except KeyboardInterrupt:
        say("Everything is stopped.")
        raise
    raise typer.Exit(0 if faultless else FOUND)


def _shown(chosen: Settings) -> Settings:
    """The settings, with a low bound for four eyes and maintenance at every hour, unless something else was chosen; for the
    processes to be started too.
    """
    if chosen.four_eyes_amount == limits.FOUR_EYES_AMOUNT:
        os.environ[f"{ENVIRONMENT_PREFIX}FOUR_EYES_AMOUNT"] = str(FOUR_EYES)
    if chosen.calendar_file is None:
        os.environ[f"{ENVIRONMENT_PREFIX}CALENDAR_FILE"] = str(CALENDAR)
    return settings()


async def _demo(chosen: Settings, wish: Wish) -> bool:
    for port in (chosen.api_port, chosen.console_port, chosen.status_port):
        listen(chosen.host, port).close()
    say("Starting PostgreSQL, api, console and agent …")

    async def greet(urls: Urls) -> None:
        async with Store.opened(urls.app, size=1) as store:
            you, colleague = [await sign_in_url(store, chosen, *each, as_they_are=True) for each in TEAM]
        say(f"Console  {you}")
        say("         (signs you in once, within 15 minutes; till console link --person you makes another)")
        say("Second   for what takes two people, a colleague's link, for a private window:")
        say(f"         {colleague}")

    async with platform(chosen, greet) as running, Store.opened(running.urls.app, size=2) as store:
        say(f"API      {running.api_url}   Logs {running.logs}")
        async with _key(store) as secret:
            api = Api(Wire(chosen.host, chosen.api_port, CONNECTIONS), secret, SystemClock())
            try:
                street = await _settled(api, wish)
                tours = _tours(chosen, store, running, street)
                seconds, toured = await _lived(street, store, tours, wish)
            except (Trouble, Unanswered) as error:
                raise CliError(f"the city cannot live: {error}", f"see {running.logs}") from error
            finally:
                api.wire.close()
            ending = await _ending(street, store, seconds, toured)
            say(summary.as_text(street.deeds, ending))
    say(summary.as_json(street.deeds, ending))
    whole = bool(ending.balanced) and ending.verified and not street.deeds.journal.missing
    return whole and (toured is None or toured.as_meant)


class Tours(NamedTuple):
    """What is shown while the city lives."""

    maintenance: Tour
    watch: Vigil


class Shown(msgspec.Struct, frozen=True):
    """What became of the tours; `watch` is None where it broke off."""

    maintenance: Toured
    watch: Watched | None

    @property
    def as_meant(self) -> bool:
        """Whether both ended as they were meant to; which model is the better one is nobody's to mean."""
        return self.maintenance.as_meant and self.watch is not None


@asynccontextmanager
async def _key(store: Store) -> AsyncIterator[str]:
    """An API key of the city's own, revoked afterwards."""
    clock = SystemClock()
    expires_at = clock.now() + timedelta(days=KEY_DAYS)
    async with store.tx("demo key") as tx:
        key, secret = await access.create_key(
            tx, None, "demo city", access.SCOPES, expires_at, clock, actor=_ACTOR
        )
    try:
        yield secret
    finally:
        async with store.tx("demo key ends") as tx:
            await access.revoke_key(tx, key.id, clock, actor=_ACTOR, reason="the demo ended")


async def _settled(api: Api, wish: Wish) -> Street:
    """The city, with everybody's account open and filled."""
    line = Line()

    def tell(step: str, done: int, of: int) -> None:
        line.write(f"City     {done:,} of {of:,} {step}", keep=done == of)

    roll = await populate(api, build_city(wish.seed), tell)
    line.end()
    return Street(api, roll)


async def _lived(street: Street, store: Store, tours: Tours | None, wish: Wish) -> tuple[float, Shown | None]:
    """Let the city live; how many seconds it did, and what became of the tours meanwhile.

    The first Ctrl-C ends its life, one more ends everything.
    """
    clock, loop, task = SystemClock(), asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def heard() -> None:
        if street.asleep.is_set() and not task.cancelling():
            task.cancel()
        street.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, heard)
    until = "Ctrl-C stops it" if wish.seconds is None else f"for {wish.seconds:g} s"
    say(f"Living   about {wish.rate:g} payments/s, {until}")
    start = clock.monotonic()
    line = Line()
    watching = asyncio.create_task(_watch(street, store, line))
    touring: asyncio.Task[Shown | None] = asyncio.create_task(_toured(street, tours, wish, line.tell))
    try:
        life = city_life(street.deeds.roll.city, wish.rate, street.deeds.roll.chapter)
        await street.live(life)
    finally:
        for beside in (watching, touring):
            beside.cancel()
        await asyncio.gather(watching, touring, return_exceptions=True)
    lived = clock.monotonic() - start
    return lived, None if touring.cancelled() else touring.result()


def _tours(chosen: Settings, store: Store, running: Platform, street: Street) -> Tours | None:
    """The tours, where the database is one that may be copied, and that models may be tried in."""
    if chosen.database_url is not None:
        say(
            "Tours    left out: a database of one's own (TILL_DATABASE_URL) is not for a demo to copy or to try models in"
        )
        return None
    clock = SystemClock()
    return Tours(
        Tour(store, running.urls.admin, reports.folder_of(chosen), clock),
        Vigil(store, lambda: street.deeds.tally.besides["fraud report"], clock),
    )


async def _toured(
    street: Street, tours: Tours | None, wish: Wish, tell: Callable[[str], None]
) -> Shown | None:
    """The tours, side by side; then the city's time is over, if it was given one."""
    clock, end = SystemClock(), None
    if wish.seconds is not None:
        end = clock.monotonic() + wish.seconds
    await asyncio.sleep(min(_TOUR_AFTER_SECONDS, wish.seconds or _TOUR_AFTER_SECONDS))
    shown = None
    if tours is not None:
        maintained, watched = await asyncio.gather(
            _maintained(tours.maintenance, wish, tell), _kept_watch(tours.watch, tell)
        )
        shown = Shown(maintained, watched)
    if end is not None:
        await asyncio.sleep(max(0.0, end - clock.monotonic()))
        street.stop()
    return shown


async def _maintained(tour: Tour, wish: Wish, tell: Callable[[str], None]) -> Toured:
    try:
        toured = await tour.lead(tell, fault=wish.fault is Fault.MONEY)
    except TourError as error:
        tell(f"Tour     broken off: {error}")
        return Toured("broken off", as_meant=False, report=None)
    tell(f"Tour     the run has ended: {toured.state}; its report: {toured.report or 'not written yet'}")
    return toured


async def _kept_watch(vigil: Vigil, tell: Callable[[str], None]) -> Watched | None:
    try:
        return await vigil.lead(tell)
    except TourError as error:
        tell(f"Watch    broken off: {error}")
        return None


async def _watch(street: Street, store: Store, line: "Line") -> None:
    """Tell how it goes: one line that is written over, or where nobody looks a line now and then."""
    clock, tally = SystemClock(), street.deeds.tally
    step = _LIVE_SECONDS if line.live else _PLAIN_SECONDS
    start = last = clock.monotonic()
    books, looked, before = "not looked at yet", 0.0, 0
    try:
        while True:
            await asyncio.sleep(step)
            now = clock.monotonic()
            if now - looked >= _BOOKS_SECONDS:
                books, looked = await _books(store), now
            rate = (tally.payments - before) / (now - last)
            line.write(summary.progress(street.deeds, now - start, rate, books), keep=not line.live)
            last, before = now, tally.payments
            tally.forget_latencies_older_than(_RECENT_SECONDS, now)
    finally:
        line.end()


async def _books(store: Store) -> str:
    """Whether the two sides of every currency are equal: the light; the audit itself comes at the end."""
    try:
        async with store.tx("demo books") as tx:
            balanced = all(total.balanced for total in await ledger.totals(tx))
    except Exception as error:
        if not is_transient(error):
            raise
        return "cannot be read"
    return summary.BOOKS[balanced]


async def _ending(street: Street, store: Store, seconds: float, shown: Shown | None) -> summary.Ending:
    """Look for every acknowledged payment, and have the books recomputed."""
    say("Looking for every acknowledged payment, recomputing the books …")
    verified, balanced = True, None
    try:
        await street.deeds.journal.settle(street.api)
    except (LookupError, Unanswered):
        verified = False
    try:
        balanced = (await ledger.verify(store)).balanced
    except Exception as error:
        if not is_transient(error):
            raise
    toured = msgspec.to_builtins(shown.maintenance) if shown else None
    watched = msgspec.to_builtins(shown.watch) if shown else None
    return summary.Ending(seconds, balanced, verified, toured, watched)


class Line:
    """One line of a terminal that is written over and over; elsewhere, lines that are kept."""

    def __init__(self) -> None:
        self.live = sys.stdout.isatty()
        self._open = False

    def write(self, text: str, *, keep: bool) -> None:
        """Show a text. Where nobody watches, only those to `keep` are written."""
        if not self.live:
            if keep:
                say(text)
            return
        width = shutil.get_terminal_size().columns - 1
        sys.stdout.write("\r" + text[:width].ljust(width))
        self._open = True
        if keep:
            self.end()
        sys.stdout.flush()

    def tell(self, text: str) -> None:
        """A text of its own, above the line that is written over."""
        if self._open:
            sys.stdout.write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")
            self._open = False
        say(text)

    def end(self) -> None:
        """The next text begins a line of its own."""
        if self._open:
            sys.stdout.write("\n")
        self._open = False
