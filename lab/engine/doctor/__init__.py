"""Whether this machine has what the lab needs, and what to do about what it lacks.

``findings`` is what ``lab doctor`` prints.
"""
