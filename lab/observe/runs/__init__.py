"""Benches as series: pushed when they end, or replayed at the times when they happened.

``readings`` makes a run into gauges, ``loads`` a load; ``push`` and ``replay`` send them.
"""
