"""Containers under check: made as SageMaker makes them, asked, always removed.

``session`` hands them to the rules, and makes one for several rules where that does no harm.
"""
