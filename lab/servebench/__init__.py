"""Warm serving: what the HTTP layer costs over the model itself."""
