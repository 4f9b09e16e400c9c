"""Every metric."""

from app.api.statistics import TASKS
from app.jobs.statistics import BUCKETS_SECONDS, metric_families
from reference.markdown import code, table

_INTRODUCTION = """# Metrics

`GET /metrics` in Prometheus' text format, `GET /stats` as JSON. Those of jobs are computed from the recorded jobs: a
restart of the service loses none, and no scrape wakes a pod. Where the system tells of them (`/proc`), Prometheus'
usual `process_*` are there too.
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
