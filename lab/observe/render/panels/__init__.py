"""One module per kind of panel: frames in, something that the page's template can draw out.

``views`` says what comes out; ``plot`` is what all plots share.
"""
