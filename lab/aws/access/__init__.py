"""How the lab speaks to AWS: sessions, errors, permissions, quotas.

``session`` makes every client and is the only module that may; ``errors`` turns what botocore
raises into what a user can do.
"""
