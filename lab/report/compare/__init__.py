"""Two things side by side: runs, or a prediction and AWS.

``runs`` and ``against_aws`` compute; what ends in ``_out`` prints.
"""
