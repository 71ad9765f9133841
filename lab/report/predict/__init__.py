"""What AWS will show for what a run measured: a small model, fitted to published figures.

Its equations stand in ``equations``, its constants in ``constants``; docs/predict.md explains both.
"""
