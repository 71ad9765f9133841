"""One file per verb: flags to a frozen options object, a call, a print.

``main`` names the verbs; a verb imports what it needs when it runs, so that ``lab --help`` does
not wait.
"""
