"""`till ledger verify`."""

import typer

from tillkeeper import audit, ledger
from tillkeeper.base.ids import to_typeid
from tillkeeper.base.money import format_money
from tillkeeper.faces.cli.links import own_handle
from tillkeeper.faces.cli.opening import run, settings
from tillkeeper.faces.cli.output import FOUND, Json, say, say_json, say_table
from tillkeeper.store.opening import opened

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def books() -> None:
    """Verify the books."""


@app.command()
def verify(*, json: Json = False) -> None:
    """Recompute every balance from the transfers, in one snapshot, and say what differs. Exit code 1 if anything does.

    Payments may go on meanwhile.

    Example: till ledger verify --json
    """
    report = run(_verify())
    if json:
        say_json({"balanced": report.balanced, **_as_dict(report)})
    else:
        _show(report)
    raise typer.Exit(0 if report.balanced else FOUND)


async def _verify() -> ledger.Report:
    async with opened(settings(), size=1) as (store, _):
        report = await ledger.verify(store)
        async with store.tx("cli ledger verified") as tx:  # the console shows when, and what came of it
            action = "ledger.verified" if report.balanced else "ledger.differs"
            found = f"{report.transfers} transfers, {len(report.differences)} differences"
            await audit.append(tx, own_handle(), action, "ledger", found, "cli")
        return report


def _as_dict(report: ledger.Report) -> dict[str, object]:
    return {"transfers": report.transfers, "totals": report.totals, "differences": report.differences}


def _show(report: ledger.Report) -> None:
    rows = [
        [
            total.currency,
            str(total.accounts),
            format_money(total.debit_side, total.currency, "en"),
            format_money(total.credit_side, total.currency, "en"),
            "yes" if total.balanced else "NO",
        ]
        for total in report.totals
    ]
    heads = ["currency", "accounts", "debit side", "credit side", "balanced"]
    say_table(heads, rows, figures=heads[1:4])
    if report.differences:
        say_table(
            ["currency", "account", "what differs", "stored", "expected"],
            [
                [each.currency, _account(each), each.what, str(each.stored), str(each.expected)]
                for each in report.differences
            ],
            figures=["stored", "expected"],
        )
    word = "The books balance" if report.balanced else f"{len(report.differences)} differences"
    say(f"{word}: {report.transfers:,} transfers recomputed.")


def _account(difference: ledger.Difference) -> str:
    return to_typeid("acc", difference.account) if difference.account else ""
