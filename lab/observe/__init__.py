"""The lab watched: metrics out, dashboards in, alerts."""
