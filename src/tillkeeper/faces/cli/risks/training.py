"""Models: train them, look at them, let them challenge, decide, and go."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, NamedTuple
from zoneinfo import ZoneInfo

import typer

from tillkeeper import access, risk
from tillkeeper.access import Approval, Asker
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock, to_us
from tillkeeper.base.results import Refusal
from tillkeeper.faces.cli.links import own_handle
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import CliError, Json, say, say_json, say_table
from tillkeeper.faces.cli.risks.progress import Tell, progress
from tillkeeper.faces.cli.times import moment_of, span_of
from tillkeeper.faces.model_deeds import PROMOTE, promotion_of
from tillkeeper.risk import declared, models, training
from tillkeeper.risk.history import span
from tillkeeper.risk.models import InForce, ModelRow, registry
from tillkeeper.store import Store
from tillkeeper.store.opening import opened

app = typer.Typer()
group = typer.Typer(no_args_is_help=False)
app.add_typer(group, name="models")
_clock: Final = SystemClock()

DELAY: Final = timedelta(days=7)

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Its number or its name.", show_default=False)]
Why = Annotated[str, typer.Option("--reason", help="Why; it stays on record.")]
Delay = Annotated[
    str,
    typer.Option("--label-delay", help="A payment without a report is genuine after so long: 7d, 12h, 0s."),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="Payments from then on; unset: all.", show_default=False),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="TIME",
        help="As if it were then; unset: now. Nothing known later is learnt.",
        show_default=False,
    ),
]


With = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="NAME",
        help="Learn from this feature of the installation's own, too; may be given several times.",
        show_default=False,
    ),
]


@app.command()
def train(
    *,
    from_: From = None,
    to: To = None,
    name: Annotated[str | None, typer.Option(help="What to call it; unset: by its kind and the day.")] = None,
    with_: With = None,
    label_delay: Delay = "7d",
    anomaly: Annotated[
        bool, typer.Option("--anomaly", help="How unusual a payment is, without labels, for the first days.")
    ] = False,
    challenge: Annotated[
        bool, typer.Option("--challenge", help="Let it score live payments without effect right away.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a model from this installation's history, parted by time, and keep it. It decides nothing until it is promoted.

    Example: till risk train --name june --with payee_night_share --challenge
    """
    asked = _Asked(
        moment_of("--from", from_),
        moment_of("--to", to),
        _delay(label_delay),
        name,
        anomaly,
        tuple(with_ or ()),
    )
    with progress(quiet=json) as tell:
        try:
            trained, row = run(_trained(asked, tell))
        except training.TrainingError as error:
            raise CliError(str(error), error.remedy) from error
        except models.BadModelError as error:
            raise CliError(f"the model is not kept: {error}") from error
    if challenge:
        _acted(run(_act("challenge", str(row.version), "trained just now")), quiet=True)
    if json:
        say_json({"version": row.version, "sha256": row.sha256, "card": trained.card})
        return
    say(models.as_text(trained.card, trained.features, trained.sha256, trained.own))
    for feature in asked.own:
        if feature not in trained.features:
            say(f"  ! {feature} told nothing that the others do not tell: the model does not read it")
    say(f"\nKept as model {row.version}. Next: till risk models challenge {row.version}, or promote it.")


class _Asked(NamedTuple):
    """What `till risk train` was asked for; None: as usual."""

    begin: datetime | None
    end: datetime | None
    delay: timedelta
    name: str | None
    anomaly: bool
    own: tuple[str, ...]


async def _trained(asked: _Asked, tell: Tell) -> tuple[training.Trained, ModelRow]:
    chosen, now = settings(), _clock.now()
    async with opened(chosen, size=2) as (store, _):
        known = await span(store)
        if known is None:
            raise CliError("there is no payment yet", "models learn from payments: till demo makes some")
        async with store.tx("cli features") as tx:
            catalogue = await declared.catalogue(tx)
        wish = training.Wish(
            name=asked.name or f"{'anomaly' if asked.anomaly else 'fraud'}-{now:%Y%m%d-%H%M%S}",
            by=own_handle(),
            begin_us=to_us(asked.begin or known[0]),
            end_us=to_us(asked.end or now),
            delay_us=asked.delay // timedelta(microseconds=1),
            anomaly=asked.anomaly,
            own=training.own_features(asked.own, catalogue),
            catalogue=catalogue,
        )
        rules = await _rules(store, chosen.rules_file, catalogue)
        trained = await training.train_here(
            store,
            rules,
            ZoneInfo(chosen.timezone),
            wish,
            now,
            lambda step: tell(step.stage, step.done, step.total),
        )
        return trained, await _kept_here(store, trained.blob)


async def _rules(store: Store, file: Path | None, catalogue: risk.Catalogue) -> risk.RuleSet:
    """Amounts are worth what the rules in force say, for those will feed the model; before any were, what the file says."""
    async with store.tx("cli rules in force") as tx:
        active = await risk.activations(tx, 1)
    if not active:
        return risk.load_rules(file, catalogue)
    return risk.read_rules(active[0].source, "the rules in force", catalogue)


# -- the registry


@group.callback(invoke_without_command=True)
def listed(context: typer.Context, *, json: Json = False) -> None:
    """Models: list them, let them challenge, promote, undo, retire, compare.

    Example: till risk models --json
    """
    if context.invoked_subcommand is not None:
        return
    found, now = run(_listed())
    if json:
        say_json({"in_force": now, "models": found})
        return
    rows = [
        [
            str(each.version),
            each.name,
            each.kind,
            each.role,
            f"{each.made_at:%Y-%m-%d %H:%M}",
            each.made_by,
            each.sha256[:12],
        ]
        for each in found
    ]
    say_table(["model", "name", "kind", "role", "kept", "by", "sha256"], rows, figures=["model"])
    if not found:
        say("There is no model yet: till risk train")


@group.command()
def show(model: Model, *, json: Json = False) -> None:
    """Show a model's card: what it was made from, how well it does, what it reads.

    Example: till risk models show 3
    """
    row, blob, catalogue = run(_found(model))
    try:
        artifact = models.unpack(blob, catalogue)
    except models.BadModelError as error:
        raise CliError(str(error), "the champion in force is untouched") from error
    if json:
        say_json(
            {
                "version": row.version,
                "sha256": row.sha256,
                "features": artifact.features,
                "own": artifact.own,
                "card": artifact.card,
            }
        )
    else:
        say(models.as_text(artifact.card, artifact.features, row.sha256, artifact.own))


@group.command()
def challenge(model: Model, *, reason: Why = "", json: Json = False) -> None:
    """Let a model score every payment silently beside the champion, to be compared with it.

    Example: till risk models challenge 3
    """
    _acted(run(_act("challenge", model, reason)), json=json)


@group.command()
def promote(model: Model, *, reason: Why = "", json: Json = False) -> None:
    """Ask that a model decide. It does as soon as a second person agrees in the console; undo takes it back at once.

    Example: till risk models promote 3 --reason "better on June"
    """
    asked = run(_asked(model, reason))
    public = access.approvals.approval_id(asked)
    if json:
        say_json({"approval": public, "state": asked.state})
    else:
        say(
            f"Asked for: {public}. A second person agrees here: {settings().console_address}/approvals#{public}"
        )


@group.command()
def undo(*, reason: Why = "", json: Json = False) -> None:
    """Take the newest promotion back: what decided before decides again, at once. One person, on record.

    Example: till risk models undo --reason "it holds too many"
    """
    _acted(run(_act("undo", "", reason)), json=json)


@group.command()
def retire(model: Model, *, reason: Why = "", json: Json = False) -> None:
    """Take a model out of force. It stays, and old receipts are still explained with it.

    Example: till risk models retire 2
    """
    _acted(run(_act("retire", model, reason)), json=json)


@group.command()
def compare(
    *,
    days: Annotated[int, typer.Option(min=1, max=365, help="Payments of so many days.")] = 30,
    label_delay: Delay = "7d",
    json: Json = False,
) -> None:
    """Compare champion and challengers on the live payments that all of them scored and that are judged by now.

    Example: till risk models compare --days 14
    """
    found, names = run(_compared(timedelta(days=days), _delay(label_delay)))
    if json:
        say_json(found)
        return
    heads = ["model", "name", "AUC", "AP", "CP@100", "recall at 1 %", "stopped", "frauds among them"]
    rows = [
        [
            str(one.model),
            names.get(one.model, ""),
            *_figures(one.figures),
            f"{one.stopped:,}",
            f"{one.caught:,}",
        ]
        for one in found.standings
    ]
    say_table(heads, rows, figures=[heads[0], *heads[2:]])
    say(f"{found.payments:,} payments, {found.frauds:,} of them known as fraud.")


@group.command()
def export(model: Model, file: Annotated[Path, typer.Argument(help="Where to write it.")]) -> None:
    """Write a model to a file, to take it to another installation: till risk models add FILE.

    Example: till risk models export 3 june.model
    """
    row, blob, _ = run(_found(model))
    try:
        file.write_bytes(blob)
    except OSError as error:
        raise CliError(f"{file} cannot be written: {error.strerror}", "choose another place") from error
    say(f"Model {row.version}, {len(blob):,} bytes, sha256 {row.sha256}, written to {file}.")


@group.command()
def add(
    file: Annotated[Path, typer.Argument(help="A file that `export` wrote.")], *, json: Json = False
) -> None:
    """Keep a model of another installation, if it opens here. It decides nothing until it is promoted.

    Example: till risk models add june.model
    """
    try:
        with file.open("rb") as open_file:
            blob = open_file.read(limits.MODEL_BYTES + 1)
    except OSError as error:
        raise CliError(f"{file} cannot be read: {error.strerror}", "check the path") from error
    try:
        row = run(_kept(blob))
    except models.BadModelError as error:
        raise CliError(f"{file}: {error}") from error
    if json:
        say_json(row)
    else:
        say(f"Kept as model {row.version}.")


# -- work


async def _listed() -> tuple[list[ModelRow], InForce]:
    async with opened(settings(), size=1) as (store, _), store.tx("cli models") as tx:
        now = await models.in_force(tx)
        return await models.newest(tx, now), now


async def _found(model: str) -> tuple[ModelRow, bytes, risk.Catalogue]:
    async with opened(settings(), size=1) as (store, _), store.tx("cli model") as tx:
        row = await registry.find(tx, model)
        return row, await registry.load(tx, row.version), await declared.catalogue(tx)


async def _kept(blob: bytes) -> ModelRow:
    async with opened(settings(), size=1) as (store, _):
        return await _kept_here(store, blob)


async def _kept_here(store: Store, blob: bytes) -> ModelRow:
    """Refused when a feature it reads was retired since it was made, or is declared otherwise."""
    async with store.tx("cli keep model") as tx:
        return await registry.keep(tx, blob, own_handle(), _clock, await declared.catalogue(tx))


async def _act(act: str, model: str, reason: str) -> InForce:
    async with opened(settings(), size=1) as (store, _), store.tx(f"cli {act} model") as tx:
        if act == "undo":
            return await registry.undo(tx, own_handle(), _clock, reason)
        doing = registry.challenge if act == "challenge" else registry.retire
        try:
            return await doing(tx, model, own_handle(), _clock, reason)
        except models.BadModelError as error:
            raise CliError(str(error), "what scores now goes on") from error


async def _asked(model: str, reason: str) -> Approval:
    asker = Asker(own_handle(), None, "cli")
    async with opened(settings(), size=1) as (store, _), store.tx("cli promote model") as tx:
        row = await registry.find(tx, model)
        terms = promotion_of(row, await models.in_force(tx))
        asked = await access.approvals.ask(tx, PROMOTE, terms, asker, _clock, reason)
    if isinstance(asked, Refusal):
        raise CliError(asked.title, asked.detail)
    return asked


async def _compared(past: timedelta, delay: timedelta) -> tuple[models.Comparison, dict[int, str]]:
    now = _clock.now()
    async with opened(settings(), size=1) as (store, _), store.tx("cli compare models") as tx:
        force = await models.in_force(tx)
        asked = [each for each in (force.champion, *force.challengers) if each is not None]
        if not asked:
            raise CliError("no model scores payments", "till risk models challenge MODEL lets one begin")
        found = await models.compare(tx, asked, now - past, now, delay)
        return found, {each.version: each.name for each in await models.newest(tx, force)}


# -- words


def _acted(now: InForce, *, json: bool = False, quiet: bool = False) -> None:
    if json:
        say_json(now)
    elif not quiet:
        say(
            f"champion {now.champion or 'none'}, challengers {_numbers(now)}, anomaly {now.anomaly or 'none'}"
        )


def _numbers(now: InForce) -> str:
    return ", ".join(map(str, now.challengers)) or "none"


def _figures(found: models.Figures) -> list[str]:
    values = (found.auc, found.ap, found.card_precision, found.recall)
    return ["" if value is None else f"{value:.3f}" for value in values]


def _delay(text: str) -> timedelta:
    delay = span_of("--label-delay", text)
    if delay > DELAY:
        raise CliError(
            "a label delay longer than 7 days is not supported", "features look at labels 7 days later"
        )
    return delay
