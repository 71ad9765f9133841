"""`lab up`: the services, what they are seeded with, and the endpoints that come with them.

``session`` tells it from end to end; ``containers`` and ``processes`` are the two ways of
running the services.
"""
