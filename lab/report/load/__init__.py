"""Reports of loads: what ``requests.csv`` amounts to, as JSON, Markdown and one HTML page.

``summary`` makes the figures and ``findings`` says what to doubt of them; ``page``, ``plots`` and
``tables`` show them; ``steps`` is the page of a search or a sweep, ``compare`` sets two loads side
by side.
"""
