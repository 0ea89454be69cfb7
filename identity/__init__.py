"""The identity graph: contacts and identifiers in; edges, crosswalk and history out."""
