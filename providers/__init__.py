"""Inward: one file per provider, each turning its native bill into FOCUS rows."""
