"""Model archives and cards: built, checked and found.

A model is made in the trainer's container (``build``), packed byte for byte the same each time
(``archive``), and found by name and runtime (``store``), where everybody else begins.
"""
