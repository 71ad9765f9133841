"""Cold starts: a plan becomes trials, trials become marks, marks become samples."""
