"""Audiences: conditions in YAML to a SELECT; who is in an audience, since when, and why."""
