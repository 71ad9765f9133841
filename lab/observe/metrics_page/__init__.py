"""docs/metrics.md: every metric, made of the code that counts it."""
