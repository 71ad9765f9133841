"""Endpoints brought to what is wanted of them.

``fleet`` knows all endpoints and who works on which; ``deployer`` does the work for one;
``builder`` makes its servers and changes their number.
"""
