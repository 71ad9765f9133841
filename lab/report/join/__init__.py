"""Several runs as one report, also from other machines: side by side, never pooled.

``collect`` finds and reads the runs, ``build`` makes ``join.json`` of them (``model``), ``view``
arranges it for a reader, and ``write`` leaves the folder; begin with ``build``.
"""
