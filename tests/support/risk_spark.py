"""A Spark of this machine alone, for the features' SQL: two threads, no web page, no network."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.risk_sql import ZONE, Connection, Table
from tillkeeper.risk.declared import sql
from tillkeeper.risk.declared.dialects import SPARK
from tillkeeper.risk.features import Catalogue

needs_spark = pytest.mark.skipif(
    shutil.which("java") is None or find_spec("pyspark") is None,
    reason="Spark needs Java and the extra `spark`: neither features nor their SQL are compared there",
)


@contextmanager
def local_spark(home: Path) -> Iterator[Any]:
    """A session that leaves nothing outside `home`."""
    from pyspark.sql import SparkSession

    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.local.dir": str(home),
        "spark.sql.warehouse.dir": str(home / "warehouse"),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        # It lives for half a minute: what compiles and collects well in the long run costs more than it brings.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.sql.codegen.wholeStage": "false",  # so many windows would be compiled for longer than they run
        "spark.sql.adaptive.enabled": "false",
    }
    builder = SparkSession.builder.master("local[2]").appName("till features")
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        spark.stop()


def in_spark(spark: Any, con: Connection, home: Path, catalogue: Catalogue) -> Table:
    """Every feature by Spark SQL, from the same tables, by order of arrival."""
    for table in sql.TABLES.values():
        file = home / f"{table}.parquet"
        con.sql(f"COPY {table} TO '{file}' (FORMAT parquet)")
        spark.read.parquet(str(file)).createOrReplaceTempView(table)
    for step in sql.compile_to(SPARK, catalogue, catalogue, ZONE):
        made = spark.sql(step.query)
        if (
            step.table.endswith("_placed")
            or "_" not in step.table
            or step.table.endswith(("_payments", "_everything"))
        ):
            made = made.localCheckpoint()
        made.createOrReplaceTempView(step.table)
    file = home / "features.parquet"
    spark.table("features").write.mode("overwrite").parquet(str(file))
    found = con.sql(f"SELECT * FROM '{file}/*.parquet' ORDER BY seq").fetchnumpy()
    return {name: np.ma.filled(np.ma.masked_array(column), np.nan) for name, column in found.items()}
