"""An image's layers, read once from a stream, and what must not be in them.

``saved`` reads; ``credentials`` and ``secretfiles`` judge.
"""
