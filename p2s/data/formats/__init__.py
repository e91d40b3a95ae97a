"""Formats: what others write labels in, and how that becomes COCO's JSON."""
