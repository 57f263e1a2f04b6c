"""Documents that are made from the code are made from this code."""

import runpy
from pathlib import Path

TOOLS = Path(__file__).parents[2] / "tools"


def test_the_page_of_problem_codes_is_fresh() -> None:
    made = runpy.run_path(str(TOOLS / "problem_reference.py"))
    assert made["PAGE"].read_text("utf-8") == made["page"](), "run: python tools/problem_reference.py --write"


def test_the_page_of_metrics_is_fresh() -> None:
    made = runpy.run_path(str(TOOLS / "metric_reference.py"))
    assert made["PAGE"].read_text("utf-8") == made["page"](), "run: python tools/metric_reference.py --write"


def test_the_page_of_features_is_fresh() -> None:
    made = runpy.run_path(str(TOOLS / "feature_reference.py"))
    assert made["PAGE"].read_text("utf-8") == made["page"](), "run: python tools/feature_reference.py --write"
