"""The lab watched: metrics out, dashboards in, alerts.

``boards`` makes the dashboards, ``render`` draws them without Grafana, ``grafana`` checks and
annotates them with it; ``runs`` sends benches to Prometheus; ``metrics_page`` writes
docs/metrics.md.
"""
