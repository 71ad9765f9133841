"""Programs of another architecture: whether they run, by what, and how that is set up.

``qemu`` answers for an engine and sets QEMU up where that is allowed; open it first. ``binfmt``
reads the kernel's table that decides which interpreter runs a foreign program.
"""
