"""How AWS speaks: shapes, errors, signatures, event streams.

``shapes`` checks requests against botocore's own models.
"""
