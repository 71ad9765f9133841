"""Whether both platforms of an image give the same answers to the same inputs.

``session`` asks, ``compare`` judges.
"""
