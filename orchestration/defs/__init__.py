"""Dagster definitions, one module a kind of asset."""
