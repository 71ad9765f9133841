"""CloudWatch's metrics, counted, and shown to Prometheus.

``counters`` is what the rest of the emulator calls; ``gauges`` is read when a scrape comes, of
what ``sampler`` found last.
"""
