"""The lab's emulator as the target of a push.

``target`` carries out the part of the template that the emulator knows; ``inventory`` reads
what is there.
"""
