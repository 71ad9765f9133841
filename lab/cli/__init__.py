"""One file per verb: flags to a frozen options object, a call, a print."""
