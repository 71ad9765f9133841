"""A load against a target: made ready, watched, kept in a run folder.

``targets`` says what can be loaded, ``runner`` does it, ``folder`` keeps it.
"""
