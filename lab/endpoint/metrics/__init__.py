"""CloudWatch's metrics, counted, and shown to Prometheus.

``meter`` is what the rest of the emulator calls; ``counters`` and ``gauges`` are what a scrape
sees.
"""
