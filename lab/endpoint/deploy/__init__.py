"""Endpoints brought to what is wanted of them.

``fleet`` knows all endpoints and who works on which; ``deployer`` does the work for one;
``builder`` makes its servers and changes their number; ``pinning`` remembers what names stood for
then, and ``versions`` says what has changed since.
"""
