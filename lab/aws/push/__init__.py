"""A push: look, plan, make room, send, deploy, ask.

Open ``workflow`` first: each step is a module here, and the same for both targets.
"""
