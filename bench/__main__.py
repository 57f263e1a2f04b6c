"""`python -m bench [payments|ledger|risk|replay|growth|vault|access|audit|maintenance|faults|backtest …] [--quick]`: measure this machine.

Without a name: payments, ledger, risk and replay. Figures are printed, and written to bench/out/<name>.json.
"""

import argparse
import asyncio
import importlib
from typing import Final

import uvloop

from bench import audit, faults, growth, ledger, maintenance, payments, vault
from bench.machine import load_average

SECONDS: Final = 8.0
QUICK_SECONDS: Final = 3.0
NAMES: Final = (
    "payments",
    "ledger",
    "risk",
    "replay",
    "growth",
    "vault",
    "access",
    "audit",
    "maintenance",
    "backups",
    "faults",
    "watch",
    "scoring",
    "backtest",
)


def main() -> None:
    """Run the benches that were asked for, one after the other."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure this machine.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="shorter, and less sure")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(NAMES):
        parser.error(f"no bench {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    print(f"load average before: {load_average():.2f}")
    for name in asked.names or NAMES[:4]:
        run(name, quick=asked.quick)


def run(name: str, *, quick: bool) -> None:
    """Run one bench."""
    seconds = QUICK_SECONDS if quick else SECONDS
    match name:
        case "payments":
            uvloop.run(payments.main(seconds))
        case "ledger":
            uvloop.run(ledger.main(seconds))
        case "growth":
            uvloop.run(growth.main(seconds, growth.QUICK_STORED if quick else growth.STORED))
        case "audit":
            uvloop.run(audit.main(seconds, quick=quick))
        case "maintenance":
            uvloop.run(maintenance.main(seconds))
        case "faults":
            asyncio.run(faults.main())  # as the agent: uvloop starts no program as another user
        case "vault":
            uvloop.run(vault.main(seconds, quick=quick))
        case _:
            importlib.import_module(f"bench.{name}").main()


if __name__ == "__main__":
    main()
