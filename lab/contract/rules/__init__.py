"""How the rules are tried, one module for each part of the contract.

A rule needs its words in ``rules.yaml``, a function that tries it on a session, and an entry in its
module's ``TRIES``; ``stop`` is a good one to read first.
"""
