"""Every metric."""

from app.api.statistics import TASKS
from app.jobs.counting import BUCKETS_SECONDS
from app.jobs.statistics import metric_families
from reference.markdown import code, table

_INTRODUCTION = """# Metrics

`GET /metrics` in Prometheus' text format, `GET /stats` as JSON. Those of jobs and backups are counted in the database,
in the transaction in which something ends: a restart of the service loses none, no counter falls when [old jobs are
removed](../scale.md), and no scrape wakes a pod. Where the system tells of them (`/proc`), Prometheus' usual
`process_*` are there too.
"""


def metrics_page() -> str:
    """One table."""
    rows = []
    for family in (*metric_families(), *TASKS.describe()):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels: tuple[str, ...] = getattr(family, "_labelnames", ())  # nothing public says them
        rows.append((code(name), family.type, ", ".join(map(code, labels)), family.documentation))
    limits = ", ".join(f"{limit:g}" for limit in BUCKETS_SECONDS)
    made = table(("metric", "type", "labels", ""), rows)
    return f"{_INTRODUCTION}\n{made}\nBuckets of histograms, in seconds: {limits}.\n"
