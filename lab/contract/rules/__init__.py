"""The rules, one module for each part of the contract.

A rule needs a ``Rule``, a function that tries it on a session, and an entry in its module's
``RULES``; ``stop`` is a good one to read first.
"""
