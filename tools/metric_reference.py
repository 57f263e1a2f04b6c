"""The table of metrics in docs/reference/metrics.md, from the catalogue. Prints the page, or writes it with --write."""

import sys
from pathlib import Path
from typing import Final

from tillkeeper.monitoring import MEASURES, METRICS, Metric, prometheus_name

PAGE: Final = Path(__file__).parent.parent / "docs" / "reference" / "metrics.md"
_HEAD: Final = """# Metrics

Made by `python tools/metric_reference.py --write` from `src/tillkeeper/monitoring/catalogue.py`; a test keeps it true.

Every process samples itself, and the agent samples what is the platform's and PostgreSQL's. Samples are kept in PostgreSQL (raw
three days, in stretches of five minutes a year) and given out at `GET /metrics` of the api, for a key with the scope
`metrics:read`:

```sh
till keys create prometheus --scope metrics:read
curl -H "Authorization: Bearer $KEY" http://127.0.0.1:8080/metrics
```

```yaml
scrape_configs:
  - job_name: tillkeeper
    authorization: {credentials_file: /etc/prometheus/till.key}
    static_configs: [{targets: ["127.0.0.1:8080"]}]
```

One scrape has the latest samples of all processes. A sample that is older than three times the pause between two is left out:
what nobody measured must not look fine. **M** marks a measure: guardrails, objectives and alerts may ask for it by its name
here. A statement's time is that of the round trip which a fetch waits for, with everything queued before it; a statement that
is only queued counts with no time. Counters begin at 0 when their process starts.

| Name | Prometheus | Kind | Unit | Labels | Every | What it is |
|---|---|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(_row(metric) for _, metric in sorted(METRICS.items()))


def _row(metric: Metric) -> str:
    name = f"`{metric.name}`" + (" **M**" if metric.name in MEASURES else "")
    labels = ", ".join(f"`{each}`" for each in metric.labels)
    words = metric.words["en"]
    cells = (name, f"`{_called(metric)}`", metric.kind, metric.unit, labels, f"{metric.every:g} s", words)
    return f"| {' | '.join(cells)} |\n"


def _called(metric: Metric) -> str:
    name = prometheus_name(metric.name)
    if metric.labels == ("le",):
        return f"{name}_seconds_bucket"
    if metric.name.endswith("_seconds") and METRICS.get(
        metric.name.removesuffix("_seconds"), metric
    ).labels == ("le",):
        return f"{name}_sum"
    return f"{name}_total" if metric.kind == "counter" else name


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(), "utf-8")
    else:
        sys.stdout.write(page())
