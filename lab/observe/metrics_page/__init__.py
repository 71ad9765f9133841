"""docs/metrics.md: every metric, made of the code that counts it.

``page`` asks the emulator's and the inference service's registries, the tables of what benches push
and the recording rules; ``registry`` reads a registry that has counted nothing yet.
"""
