"""Dashboards without Grafana: the same files, the same queries, one HTML page.

``draw`` is the way through, so open it first: ``board`` reads a file, ``variables`` are filled in,
``ask`` sends each panel's queries by ``prometheus`` and makes ``frames`` of the answers,
``transform`` does what Grafana's transformations do, a module of ``panels`` draws, ``page`` puts it
together. What is drawn at all is a closed list (``drawable``); the rest is named, not guessed.
"""
