"""The control plane: SageMaker's hosting operations on the store.

``operations`` lists them; nothing here waits for a container: it writes what is wanted and
tells the fleet.
"""
