"""Statistics that promise no more than the number of samples allows.

``quantiles`` has the intervals that every table prints.
"""
