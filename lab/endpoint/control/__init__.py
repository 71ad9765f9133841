"""The control plane: SageMaker's hosting operations on the store.

``operations`` lists them; ``resources`` and ``endpoints`` do the work. Nothing here waits for a
container: it writes what is wanted and tells the fleet.
"""
