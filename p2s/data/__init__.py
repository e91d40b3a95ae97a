"""Data: sets in COCO's and LVIS's format, their health, and what a model is fed."""
