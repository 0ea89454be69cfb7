"""Dagster definitions and the command line: where the rooms are joined into one road."""
