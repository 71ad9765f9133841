"""Several runs as one report, also from other machines: side by side, never pooled."""
