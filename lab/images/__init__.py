"""Variants, base images, builds and their sizes.

``variants`` says which there are; ``build`` builds what is missing in one go.
"""
