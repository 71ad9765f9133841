"""Starting a container and seeing when, and why not, it is ready.

Shared by benches, emulator, contract check and push: ``probe`` asks ``/ping``, ``timeline`` makes
phases of marks, ``cause`` explains a container's failure (by ``explain``, which looks up in
``deaths`` what ``logtext`` has taken apart), ``serving`` is all of it for whoever only needs a
container that answers.
"""
