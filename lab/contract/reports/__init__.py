"""A check's findings, for people (``terminal``) and for programs (``machine``)."""
