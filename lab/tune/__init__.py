"""Which memory size or instance type to take for an image, at what load, for what money.

Measured on this machine: ``order`` says what is run when, ``measure`` runs it and keeps a line of
``samples.jsonl`` for each step (``record``), ``figures`` makes them into what is known of a size,
``money`` prices it under the traffic, ``choice`` takes one and says why.
"""
