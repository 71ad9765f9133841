"""Starting a container and seeing when, and why not, it is ready.

Shared by benches, emulator and contract check: ``probe`` asks ``/ping``, ``timeline`` makes
phases of marks, ``cause`` explains a failure of a container (by ``explain``, which looks a log that ``logtext`` has
taken apart up in ``deaths``), ``serving`` is all of it for whoever only needs a container that
answers.
"""
