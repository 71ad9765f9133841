"""Variants, base images, builds, sizes and the local registry."""
