"""Prefect tasks: retries, names and artifacts around exactly one call each."""
