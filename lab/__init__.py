"""Inference Lab: cold starts of SageMaker containers, measured on your own machine.

Packages stand on floors, higher ones import lower ones: docs/architecture.md draws them. A command
begins in ``cli``, which hands options to a room: ``coldstart`` measures, ``endpoint`` emulates,
``contract`` checks, ``aws`` pushes, ``report`` and ``observe`` show. Below these, ``artifacts`` has
the models, ``images`` the variants, ``start`` what a start is, and ``engine`` the containers.
"""

__version__ = "0.2.0"
