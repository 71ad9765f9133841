"""A machine that has never seen a layer, and the link that leads to it.

``host`` makes it; ``link`` gives it a bandwidth; ``pulled`` proves that a pull was cold.
"""
