"""Whether both platforms of an image give the same answers to the same pictures.

``session`` asks, ``compare`` judges.
"""
