"""Variants, base images, builds and their sizes.

``variants`` says which there are; ``build`` builds what is missing in one go; ``layers`` reads any
image, layer by layer.
"""
