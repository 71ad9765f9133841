"""A report as files and on the terminal.

``write`` writes all of them, each whole or not at all.
"""
