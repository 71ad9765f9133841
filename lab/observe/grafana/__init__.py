"""A real Grafana, where there is one.

``api`` asks it, ``check`` has it load every board and query, ``annotate`` marks a bench.
"""
