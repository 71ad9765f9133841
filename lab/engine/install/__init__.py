"""An engine of the lab's own, from the distribution's packages.

``packages`` installs, ``daemon`` starts and stops ``dockerd``, ``places`` says where it keeps
its things.
"""
