"""Docker Engine through its SDK (``import docker`` is that: imports are absolute).

``engine`` and ``container`` implement the interface; ``errors`` translates all that the SDK
raises, in one table.
"""
