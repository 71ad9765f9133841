"""A run folder in, tables and pictures out.

``model`` reads a run and ``findings`` draw conclusions; ``formats`` write them. ``compare``
sets two runs, or a run and AWS, side by side; ``join`` reads several runs as one; ``study``
holds the published figures.
"""
