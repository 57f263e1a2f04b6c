"""docs/reference/features.md from the catalogue of features. Prints the page, or writes it with --write."""

import sys
from pathlib import Path
from typing import Final

from tillkeeper.risk import FEATURES, Declaration, Feature
from tillkeeper.risk.declarations import AGGREGATES, FOUND, KEYS, NUMBERS, ONLY_BUILT_IN, TEXTS, THIS

PAGE: Final = Path(__file__).parent.parent / "docs" / "reference" / "features.md"
_HEAD: Final = """# Features

Made by `python tools/feature_reference.py --write` from `src/tillkeeper/risk/declared/*.toml`; a test keeps it true.

What rules, models and receipts read of a payment or a login. Money is in minor units of the reference currency; what cannot
be known (no device, no past, not filled in yet) is NaN, and every comparison with it is false. `till risk features list` says
what there is in an installation, `till risk features show NAME` how it is declared and its SQL.

## Exactly what is counted

- A window of length w holds what happened in (t − w, t], t being the time of what is decided; with a delay d, in
  (t − d − w, t − d]. The decided payment itself is inside, unless it says *without this one*.
- Whose time it is: a profile's clock never runs back. What arrives with an older time than the newest its profile has seen
  counts at that newest time. Payments have a clock of their own; logins and changes of settings move one that payments move,
  too. Who pays and is paid has one clock.
- Everything that counts is an integer, so windows are exact, whatever the order of turns and however often profiles were
  rebuilt. Amounts count up to 2^40 minor units of the reference currency.
- A known fraud is a payment whose label was learnt. Windows of frauds end the label delay ago, so that what they say does
  not depend on how soon a label came, as long as it came within the delay; one that comes later counts from then on.
- Nothing older than 37 days has any influence.

## Declaring one

A declaration is all it takes; it is compiled three ways, and a test holds the three equal: state kept beside the running
decisions, DuckDB over history, Spark SQL over history that one machine cannot hold.

```toml
[[feature]]
name = "payee_night_sum_24h"
entity = "payee"                    # whose history
where = "(hour < 6) & (amount >= 100_000)"
aggregate = "sum"
of = "amount"
window = "24h"
unit = "money"
zh = "收款方 24 小时内夜间大额合计"
en = "large amounts of the payee at night, 24 hours"

[[feature]]
name = "payee_night_share"          # computed from features declared before
value = "payee_night_sum_24h / payee_sum_24h"
unit = "share"
zh = "其占收款方 24 小时金额的比例"
en = "their share of the payee's amount of 24 hours"
```

```sh
till risk features add night.toml    # the api fills it from history as soon as something in force reads it
till risk train --with payee_night_share --challenge    # a model that learns from it, too: docs/operating/training.md
till risk features retire payee_night_share --reason "replaced"
```

Rules read it at once, models that were trained with it. What rules or models in force read is not retired.
It is kept as it was written and never changed: what changes its meaning changes its name. Where the api stands with filling
it is the metric `risk.features_filling`.

| Field | What it says |
|---|---|
| `name`, `version` | small letters, digits, `_`; `{window}` in it makes one feature for each of several windows |
| `entity` | `customer`, `payee`, `device`, `ip`, `network` (logins only), `received`: what the customer was paid |
| `event` | `payment` (unless said otherwise), `login` or `setting` |
| `aggregate` | see below |
| `of` | the column it is taken of |
| `window` | `90m`, `24h`, `7d`: any length up to `30d`, or a list of them |
| `delay` | how long ago the window ends, up to `7d`: for what needs labels |
| `frauds` | `true`: only known frauds count |
| `past` | `true`: without the payment that is decided |
| `where` | only events of which this is true: an expression over their own columns |
| `value` | instead of an aggregate: an expression over features declared before and the decided payment's own columns |
| `unit` | `count`, `money`, `ratio`, `share`, `seconds`, `km`, `km/h`, `flag`, `hour` |
| `zh`, `en` | what it means, for people |

"""


def page() -> str:
    """The whole page."""
    return _HEAD + _language() + _catalogue()


def _language() -> str:
    lines = ["| Aggregate | What it gives |\n|---|---|\n"]
    lines += [f"| `{name}` | {words}{_only(name)} |\n" for name, words in AGGREGATES.items()]
    lines.append("\n| Event | Numbers | Texts | Who (`distinct`) |\n|---|---|---|---|\n")
    lines += [
        f"| {event} | {_names(NUMBERS[event] + FOUND[event])} | {_names(TEXTS[event])} | {_names(KEYS[event])} |\n"
        for event in KEYS
    ]
    lines.append(
        f"\nThe decided payment's own columns, for `value`: {_names(THIS)}. In expressions: numbers, `'texts'`,"
        " `+ - * / < <= > >= == != & | ~`, `abs ceil floor log sqrt where(condition, then, otherwise)`.\n"
        "`hour` and `weekday` (Monday is 0) are the business's; `score` is 0 to 1; `ratio`, for `where` only, is the payment's own feature of that name as it was then; dividing by zero is not known.\n\n"
    )
    return "".join(lines)


def _only(aggregate: str) -> str:
    return " (built in: of the customer's payments only)" if aggregate in ONLY_BUILT_IN else ""


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _catalogue() -> str:
    head = f"## The {len(FEATURES)} that come with Tillkeeper\n\n| Name | Unit | Meaning | 含义 | Definition |\n|---|---|---|---|---|\n"
    return head + "".join(_row(one) for one in FEATURES.values())


def _row(one: Feature) -> str:
    assert one.declaration
    cells = (f"`{one.name}`", one.unit.value, one.en, one.zh, _definition(one.declaration))
    return f"| {' | '.join(cells)} |\n"


def _definition(one: Declaration) -> str:
    if one.value:
        return f"`{one.value.source}`".replace("|", "\\|")
    if not one.aggregate:
        return "filled in by the engine"
    parts = [
        f"{one.aggregate}({one.of or '*'})",
        f"of {one.entity}'s {one.event}s",
        f"within {one.window}",
        f"{one.delay_us // 86_400_000_000} d delayed" if one.delay_us else "",
        "known frauds" if one.frauds and one.aggregate not in {"frauds", "rate", "run"} else "",
        "without this one" if one.past else "",
        f"where {one.where.source}" if one.where else "",
    ]
    return ", ".join(part for part in parts if part).replace("|", "\\|")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(), "utf-8")
    else:
        sys.stdout.write(page())
