"""What to do about an image: rules that look at its contents beside a recorded start.

``table`` lists the rules in their order, each a function of an ``Image`` (``image``) that yields
what it ``Found`` (``model``); what an earlier one has taken is no longer seen by a later one, so
that no byte is promised twice. ``patches`` changes the Dockerfile's lines.
"""
