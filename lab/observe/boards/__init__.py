"""Grafana's dashboards as code: one module a board, each with a function ``board``.

They need Grafana's foundation SDK, which only ``generate`` may bring in: the tool runs without.
"""
