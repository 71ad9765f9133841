"""Measuring an endpoint, on AWS or on the emulator, within a bound on the cost.

``session`` follows the study's protocols request by request; ``record`` says what is kept,
``folder`` keeps it, ``metrics`` asks CloudWatch or the emulator about the same requests.
"""
