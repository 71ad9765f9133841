"""A run folder in, tables and pictures out.

``summary`` works out what a run amounts to (the schema is ``lab.coldstart.summary``), ``findings``
what it means; ``formats`` and ``page`` write it, the former by way of ``document``, whose tables
are written once for the terminal and for Markdown. ``compare`` sets two runs, or a run and AWS,
side by side; ``join`` reads several runs as one; ``study`` holds the published figures.
"""
