"""Invocations: direct, streaming and asynchronous.

``invoker`` follows a request from its arrival to its answer, and is the module to open first.
"""
