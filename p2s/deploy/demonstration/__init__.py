"""Demonstration: a detector and a picture to begin with, the best that are at hand."""
