"""Dashboards without Grafana: the same files, the same queries, one HTML page."""
