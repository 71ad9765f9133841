"""The engine without containers: processes, where containers are forbidden.

``engine`` takes a virtual environment for an image and a process for a container.
"""
