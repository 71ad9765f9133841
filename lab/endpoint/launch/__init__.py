"""Model containers on a real engine.

``launcher`` is asked from the event loop and works in threads; ``start`` is one start of one
container, undone as a whole.
"""
