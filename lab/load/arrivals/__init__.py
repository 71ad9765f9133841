"""Schedules: the instants of a load, made before it begins.

``parse`` reads what a user typed (its ``options`` behind the colon, ``files`` and their ``table``),
``models`` draws, ``schedule`` is the result and its file, ``dispersion`` measures burstiness.
"""
