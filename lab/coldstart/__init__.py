"""Cold starts: a plan becomes trials, trials become marks, marks become samples.

``runner`` runs a plan (``plan``) in a seeded order (``schedule``); ``executor`` runs one trial
and is the module to open first; ``folder`` keeps every sample as soon as there is one.
"""
