"""A run folder in, tables and pictures out."""
