"""The hosting contract, rule by rule, tried against a running image."""
