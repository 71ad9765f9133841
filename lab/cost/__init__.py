"""Dated prices, and what a deployment costs: pure arithmetic.

``prices.csv`` has a source and a date in every row.
"""
