"""The servers of one variant, lent to requests.

``base`` holds what all kinds share; ``serverless`` scales to zero, ``realtime`` keeps its
instances.
"""
