"""Container engines behind one interface.

``api`` is that interface and the module to open first; ``select`` finds an engine. ``docker``
and ``process`` implement it; ``install`` brings a private one where there is none; ``coldhost``
and ``registry`` are what pulls are measured with.
"""
