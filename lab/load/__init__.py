"""Load: when requests are sent, how they are sent, and what became of each.

``arrivals`` makes schedules, ``sender`` keeps to them without waiting for answers, ``requests``
reads what it wrote. ``clients`` sends from threads: closed loops, and calls that are no plain HTTP.
"""
