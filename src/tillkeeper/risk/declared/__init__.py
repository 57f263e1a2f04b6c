"""Features as they are declared: what comes with the package, and what an installation adds; their SQL.

tables = compile_to(DUCKDB, await catalogue(tx), ["customer_count_24h"], "Asia/Shanghai")
"""

from tillkeeper.risk.declared.dialects import DUCKDB, SPARK, Dialect
from tillkeeper.risk.declared.rows import Declared, add, catalogue, declared, retire, revision
from tillkeeper.risk.declared.sql import Step, compile_to, create

__all__ = [
    "DUCKDB",
    "SPARK",
    "Declared",
    "Dialect",
    "Step",
    "add",
    "catalogue",
    "compile_to",
    "create",
    "declared",
    "retire",
    "revision",
]
