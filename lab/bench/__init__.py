"""Benches of the service (``serving``) and of the emulator (``emulator``).

Both send load (``load``: closed or open loops) in rounds, take the median over them, and print it
beside a target.
"""
