"""The sample company: what its systems export, and the truth behind it."""
