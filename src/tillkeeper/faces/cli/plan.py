"""`till plan check|submit|list|show|withdraw|template|preflight|calendar|suggest-window|rehearse|start`."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import typer

from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import BadIdError, from_typeid
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.links import own_handle
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import FOUND, CliError, Json, say, say_json, say_table
from tillkeeper.faces.cli.planning import CHART_NOTE, chart, filed_row, outline, reason_of, tell_window, why
from tillkeeper.faces.cli.rehearsing import rehearsed
from tillkeeper.maintenance import plans, runs
from tillkeeper.maintenance.backups import Backups
from tillkeeper.maintenance.plans import Calendar, Filed, Plan, ReadingError
from tillkeeper.maintenance.steps import KINDS, Finding, Site
from tillkeeper.store import Store, Tx
from tillkeeper.store.opening import opened
from tillkeeper.vault import Vault, root_of

app = typer.Typer(no_args_is_help=True, add_completion=False)
_clock = SystemClock()
_ORIGIN = "cli"

File = Annotated[Path, typer.Argument(metavar="FILE", help="The plan as TOML; - for standard input.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The plan's id, pln_…")]


@app.callback()
def plan() -> None:
    """Plan maintenance: write it, check it, have it rehearsed and agreed to, find it a window."""


@app.command()
def check(file: File, *, json: Json = False) -> None:
    """Say what is wrong with a plan, field by field. Exit code 1 if anything is.

    Example: till plan check index.toml
    """
    made = _read(file, settings())
    mistakes = plans.check(made, KINDS, _clock.now())
    if json:
        say_json({"ok": not mistakes, "digest": made.digest.hex(), "mistakes": mistakes})
    elif mistakes:
        for each in mistakes:
            say(each.said)
    else:
        say(f"It can be submitted: {len(made.steps)} steps, hash {made.digest.hex()[:12]}.")
    raise typer.Exit(FOUND if mistakes else 0)


@app.command()
def submit(file: File, *, json: Json = False) -> None:
    """File a plan. Next it is rehearsed, and somebody else agrees to it in the console.

    Example: till plan submit index.toml
    """
    chosen = settings()
    filed = run(_submit(chosen, _read(file, chosen)))
    if json:
        say_json(_shown(filed))
        return
    say(f"{filed.public_id} is {filed.state}, hash {filed.digest.hex()[:12]}.")
    if filed.state == "rehearsed":
        say("Exactly this was rehearsed before: a second person is asked, in the console under Four eyes.")
    else:
        say(f"Next: till plan rehearse {filed.public_id}")


@app.command("list")
def list_(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Those that came to an end, too.")] = False,
    json: Json = False,
) -> None:
    """List the plans, the newest first.

    Example: till plan list --all
    """
    states: tuple[plans.PlanState, ...] = plans.OPEN + (
        ("withdrawn", "expired", "done") if everything else ()
    )
    found = run(_listed(states))
    if json:
        say_json([_shown(each) for each in found])
    elif found:
        say_table(
            ["id", "state", "goal", "author", "steps", "window (UTC)"],
            list(map(filed_row, found)),
            figures=["steps"],
        )
    else:
        say("There is no plan. till plan template shows how they begin.")


@app.command()
def show(
    id_: Id,
    *,
    toml: Annotated[bool, typer.Option("--toml", help="The plan itself, as a file.")] = False,
    json: Json = False,
) -> None:
    """Show a plan: what it does, how far it has come, what its rehearsal found, whether the calendar lets it begin.

    Example: till plan show pln_01k… --toml > again.toml
    """
    chosen = settings()
    filed, rehearsal, answer = run(_found(chosen, _id(id_)))
    if toml:
        sys.stdout.write(plans.write_plan(filed.plan))
    elif json:
        say_json(_shown(filed) | {"rehearsal": rehearsal and rehearsal.evidence, "calendar": answer})
    else:
        for line in outline(filed, rehearsal, answer, ZoneInfo(chosen.timezone)):
            say(line)


@app.command()
def withdraw(id_: Id, *, json: Json = False) -> None:
    """Take a plan back, unless a run has begun.

    Example: till plan withdraw pln_01k…
    """
    filed = run(_withdraw(_id(id_)))
    if json:
        say_json(_shown(filed))
    else:
        say(f"{filed.public_id} is withdrawn.")


@app.command()
def template(
    name: Annotated[str | None, typer.Argument(help="Which; unset: list them.")] = None, *, json: Json = False
) -> None:
    """Print a plan to begin with, or list what there is.

    Example: till plan template index > index.toml
    """
    found = plans.templates()
    if name is None:
        goals = {each: plans.template_goal(text) for each, text in found.items()}
        if json:
            say_json(goals)
        else:
            say_table(["template", "goal"], list(goals.items()))
    elif name not in found:
        raise CliError(f"there is no template {name}", f"there are: {', '.join(found)}")
    elif json:
        say_json({"name": name, "text": found[name]})
    else:
        sys.stdout.write(found[name])


@app.command()
def preflight(id_: Id, *, json: Json = False) -> None:
    """Look at everything that a run would look at before it begins. Exit code 1 if something stands in the way.

    Example: till plan preflight pln_01k…
    """
    found = run(_preflight(settings(), _id(id_)))
    bad = [each for each in found if not each.ok]
    if json:
        say_json({"ok": not bad, "findings": found})
    else:
        for each in sorted(found, key=lambda one: one.ok):
            say(f"{'  ok' if each.ok else 'STOP'}  {each.said}")
    raise typer.Exit(FOUND if bad else 0)


@app.command()
def calendar(
    days: Annotated[int, typer.Option(min=1, max=limits.CALENDAR_DAYS, help="How far to look ahead.")] = 14,
    *,
    json: Json = False,
) -> None:
    """Show when maintenance may run, and what forbids it.

    Example: till plan calendar --days 30
    """
    chosen = settings()
    zone = ZoneInfo(chosen.timezone)
    now = _clock.now()
    rules = run(_rules(chosen))
    within = plans.Span(now, now + timedelta(days=days))
    free, denied = plans.calendar.free(rules, None, within), plans.calendar.denials(rules, within)
    if json:
        say_json({"free": free, "denied": denied})
        return
    say_table(
        ["free from", "to", "hours"],
        [(*tell_window(each, zone), f"{each.seconds / 3600:.1f}") for each in free],
        figures=["hours"],
    )
    rows = [
        (*tell_window(plans.Span(each.begin, each.end), zone), reason_of(each))
        for each in denied
        if each.kind != "cut_off"
    ]
    say_table(["denied from", "to", "why"], rows)
    for cut in rules.calendar.cut_offs:
        say(f"Every day from {cut.before} min before until {cut.after} min after {cut.at}: {cut.name}.")


@app.command("suggest-window")
def suggest_window(
    what: Annotated[str, typer.Argument(metavar="FILE|ID", help="The plan, filed (pln_…) or as TOML.")],
    *,
    json: Json = False,
) -> None:
    """Propose windows by the platform's own traffic, the calendar and how long it takes; and show why.

    Example: till plan suggest-window index.toml
    """
    chosen = settings()
    made = None if what.startswith(f"{plans.PREFIX}_") else _read(Path(what), chosen)
    known, found = run(_suggested(chosen, made, what))
    if json:
        say_json({"suggestions": found, "traffic": known})
        return
    zone = ZoneInfo(chosen.timezone)
    for line in chart(known, found, zone):
        say(line)
    say(CHART_NOTE.format(zone=chosen.timezone))
    for place, each in enumerate(found, 1):
        begin, end = tell_window(plans.Span(each.begin, each.end), zone)
        say(f"{place}. {begin} – {end}: {why(each, zone)}")
    if not found:
        raise CliError("no window is long enough", "till plan calendar shows what stands in the way", FOUND)


@app.command()
def rehearse(id_: Id, *, json: Json = False) -> None:
    """Try a plan on a restored copy of the latest backup, under replayed load: each step done, undone, and done again.
    Exit code 1 if it did not pass.

    Example: till plan rehearse pln_01k…
    """
    found = rehearsed(settings(), _id(id_), own_handle(), _clock, quiet=json)
    if json:
        say_json(found)
    else:
        say(f"{'It passed' if found.passed else 'It did not pass'}: {found.said}")
    raise typer.Exit(0 if found.passed else FOUND)


@app.command()
def start(id_: Id, *, json: Json = False) -> None:
    """Have an approved plan carried out: the agent begins as soon as calendar and preflight let it.

    Example: till plan start pln_01k… && till run watch
    """
    begun = run(_start(_id(id_)))
    if json:
        say_json({"run": begun})
    else:
        say(f"{begun} waits for calendar and preflight; till run watch follows it.")


def _read(file: Path, chosen: Settings) -> Plan:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(
            f"cannot read {file}: {error}", "till plan template shows how a plan begins"
        ) from error
    try:
        return plans.read_plan(text, ZoneInfo(chosen.timezone))
    except ReadingError as error:
        raise CliError(f"{file}: {error}", "till plan template shows how a plan begins") from error


def _calendar(chosen: Settings) -> Calendar:
    try:
        return plans.read_calendar(chosen.calendar_file)
    except ReadingError as error:
        raise CliError(str(error), "mend the file that the setting calendar_file names") from error


def _id(text: str) -> UUID:
    try:
        return from_typeid(plans.PREFIX, text)
    except BadIdError as error:
        raise CliError("that is no plan's id", "they begin with pln_; till plan list shows them") from error


def _shown(filed: Filed) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(filed)
    return plain | {"id": filed.public_id, "digest": filed.digest.hex()}


def _granted(answer: Any) -> Any:
    if isinstance(answer, Refusal):
        raise Refused(answer)
    return answer


async def _submit(chosen: Settings, made: Plan) -> Filed:
    async with opened(chosen, size=1) as (store, _), store.tx("cli submit plan") as tx:
        done = await plans.submit(tx, made, own_handle(), KINDS, _clock, origin=_ORIGIN)
    filed: Filed = _granted(done)
    return filed


async def _listed(states: tuple[plans.PlanState, ...]) -> list[Filed]:
    async with opened(settings(), size=1) as (store, _), store.tx("cli list plans") as tx:
        await plans.expire_late(tx, _clock)
        return await plans.listed(tx, states, limit=limits.PAGE_MAX)


async def _found(chosen: Settings, id_: UUID) -> tuple[Filed, plans.Rehearsal | None, plans.Answer]:
    rules = _calendar(chosen)
    async with opened(chosen, size=1) as (store, _), store.tx("cli show plan") as tx:
        filed = await _one(tx, id_)
        answer = await plans.may_run(tx, filed, rules, ZoneInfo(chosen.timezone), _clock)
        return filed, await plans.rehearsal_of(tx, filed.digest), answer


async def _one(tx: Tx, id_: UUID) -> Filed:
    found = await plans.get(tx, id_)
    if found is None:
        raise Refused(Refusal("unknown_plan", "till plan list shows them"))
    return found


async def _withdraw(id_: UUID) -> Filed:
    async with opened(settings(), size=1) as (store, _), store.tx("cli withdraw plan") as tx:
        done = await plans.withdraw(tx, id_, own_handle(), _clock, origin=_ORIGIN)
    filed: Filed = _granted(done)
    return filed


async def _rules(chosen: Settings) -> plans.Rules:
    made = _calendar(chosen)
    async with opened(chosen, size=1) as (store, _), store.tx("cli calendar") as tx:
        return await plans.rules_at(tx, made, ZoneInfo(chosen.timezone), _clock.now())


async def _suggested(
    chosen: Settings, made: Plan | None, what: str
) -> tuple[plans.Traffic, tuple[plans.Suggestion, ...]]:
    rules = _calendar(chosen)
    async with opened(chosen, size=2) as (store, _):
        drill = await _drill_seconds(store)
        async with store.tx("cli suggest window") as tx:
            wanted = made or (await _one(tx, _id(what))).plan
            return await plans.suggest_window(tx, wanted, rules, ZoneInfo(chosen.timezone), _clock, drill)


async def _drill_seconds(store: Store) -> float:
    """What the last restore took: a rehearsal begins with one."""
    good = await Backups(store).latest_good()
    return good.drill.rto_seconds if good is not None and good.drill is not None else 0.0


async def _preflight(chosen: Settings, id_: UUID) -> tuple[Finding, ...]:
    root = root_of(chosen)
    async with opened(chosen, size=2) as (store, urls), Vault.opened(store, root, _clock) as vault:
        async with store.tx("cli preflight") as tx:
            filed = await _one(tx, id_)
        site = Site(store, urls.admin, _clock, chosen, vault, root, production=True)
        return await plans.preflight(site, filed.id, filed.plan, KINDS)


async def _start(id_: UUID) -> str:
    async with opened(settings(), size=1) as (store, _), store.tx("cli start plan") as tx:
        begun: runs.Run = _granted(await runs.start(tx, id_, own_handle(), _clock, origin=_ORIGIN))
    return begun.public
