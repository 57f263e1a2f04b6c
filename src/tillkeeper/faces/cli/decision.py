"""`till decision`: explain what was decided about a payment, list what rules may read."""

from typing import Annotated
from uuid import UUID

import typer

from tillkeeper import risk
from tillkeeper.base.ids import BadIdError, from_typeid, to_typeid
from tillkeeper.base.money import format_money
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import FOUND, CliError, Json, say, say_json, say_table
from tillkeeper.risk.models import BadModelError, Scorer
from tillkeeper.store.opening import opened

app = typer.Typer(no_args_is_help=True, add_completion=False)

Chinese = Annotated[bool, typer.Option("--zh", help="Reasons and meanings in Chinese.")]


@app.callback()
def decisions() -> None:
    """Explain a risk decision."""


@app.command()
def explain(
    payment: Annotated[str, typer.Argument(metavar="ID", help="The payment: pay_01h4…")],
    *,
    zh: Chinese = False,
    json: Json = False,
) -> None:
    """Decide again from the receipt: the stored feature values, the rules and the models of that day. Exit code 1 if it comes out
    differently.

    Example: till decision explain pay_01kx7m4v9zf1zvjm3zc4c1q5j0
    """
    receipt, scorers = run(_receipt(_payment(payment)))
    try:
        explanation = risk.explain(receipt, "zh" if zh else "en", scorers)
    except risk.BadRulesError as error:
        raise CliError(
            f"rule set {receipt.rule_set} cannot be read by this release:\n{error}",
            "explain it with the release that decided it",
        ) from error
    if json:
        say_json(_as_dict(receipt, explanation))
    else:
        _show(receipt, explanation)
    raise typer.Exit(0 if explanation.same else FOUND)


@app.command()
def features(*, zh: Chinese = False, json: Json = False) -> None:
    """List everything a rule may read, with its unit and meaning.

    Example: till decision features --json
    """
    listed = [(each.name, each.unit.value, each.zh if zh else each.en) for each in risk.FEATURES.values()]
    if json:
        say_json([{"name": name, "unit": unit, "meaning": meaning} for name, unit, meaning in listed])
    else:
        say_table(["feature", "unit", "meaning"], listed)


def _payment(text: str) -> UUID:
    for prefix in ("pay", "dec"):
        try:
            return from_typeid(prefix, text)
        except BadIdError:
            continue
    raise CliError(f"{text[:60]!r} is not a payment's id", "ids look like pay_01kx7m4v9zf1zvjm3zc4c1q5j0")


async def _receipt(payment: UUID) -> tuple[risk.Receipt, dict[int, Scorer]]:
    """The receipt, and the models of its day."""
    async with opened(settings(), size=1) as (store, _), store.tx("cli decision") as tx:
        receipt = await risk.receipt(tx, payment)
        if receipt is None:
            raise CliError(
                f"there is no decision about {to_typeid('pay', payment)}",
                "risk decides about payments, withdrawals and payouts, not about top-ups",
            )
        try:
            return receipt, await risk.scorers_of(tx, receipt)
        except BadModelError as error:
            raise CliError(str(error), "explain it with the release that decided it") from error


def _as_dict(receipt: risk.Receipt, explanation: risk.Explanation) -> dict[str, object]:
    return {
        "payment": to_typeid("pay", receipt.id),
        "at": receipt.at,
        "kind": receipt.kind,
        "amount": receipt.amount,
        "currency": receipt.currency,
        "stored": {"outcome": receipt.outcome, "rules": receipt.reasons},
        "outcome": explanation.outcome,
        "same": explanation.same,
        "rule_set": explanation.rule_set,
        "configuration": explanation.configuration,
        "reasons": explanation.reasons,
        "silent": explanation.silent,
        "effects": explanation.effects,
        "scores": explanation.scored,
        "features": {each.name: each.value for each in explanation.values},
    }


def _show(receipt: risk.Receipt, explanation: risk.Explanation) -> None:
    amount = format_money(receipt.amount, receipt.currency, "en")
    say(f"{to_typeid('pay', receipt.id)}  {receipt.kind}  {amount}  {receipt.at:%Y-%m-%d %H:%M:%S} UTC")
    under = f", configuration {receipt.configuration}" if receipt.configuration else ""
    say(f"decided: {receipt.outcome}, by rule set {receipt.rule_set}{under}")
    say(f"decided again: {explanation.outcome}, {'the same' if explanation.same else 'NOT THE SAME'}")
    if explanation.reasons:
        rows = [[each.rule, str(each.version), each.outcome, each.text] for each in explanation.reasons]
        say_table(["rule", "version", "outcome", "reason"], rows)
    for effect in explanation.effects:
        say(f"besides: {effect.text}")
    for scored in explanation.scored:
        _show_score(scored)
    rows = [[each.name, each.text, each.meaning] for each in explanation.values]
    say_table(["feature", "value", "meaning"], rows, figures=["value"])


def _show_score(scored: risk.Scored) -> None:
    if scored.score is None:
        say(f"{scored.role}: model {scored.model} could not score it")
        return
    again = "the same" if scored.same else f"NOT THE SAME: {scored.again}"
    say(f"{scored.role}: model {scored.model} says {scored.score:.4f}; computed again: {again}")
    for reason in scored.reasons:
        say(f"  {reason.share:.0%}  {reason.text}")
