"""Ceilings that CI holds an image to: bytes, cold start, latency, memory, price.

``budgetfile`` says what is allowed, ``measure`` what there is, ``judge`` what that shows, ``run``
does it all and keeps it, ``said`` tells it.
"""
