"""A difference taken apart: by what records hold, and along a road of single steps."""
