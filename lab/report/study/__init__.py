"""The published study's figures, as data, each with its table.

``published`` sets its ratios beside those of a run.
"""
