"""Dated prices, and what a deployment costs: pure arithmetic."""
