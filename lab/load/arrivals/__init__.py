"""Schedules: the instants of a load, made before it begins.

``schedule`` is the file, ``parse`` reads what a user typed, ``models`` draws, ``dispersion``
measures burstiness.
"""
