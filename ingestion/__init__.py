"""Connectors and loads: what other systems export, typed, in the raw schemas."""
