"""What can be loaded: an image, an emulated endpoint, a URL, an endpoint on AWS.

``api`` is what all have in common, ``find`` reads what a user typed.
"""
