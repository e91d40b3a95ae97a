"""Measure: what is asked of a trained model; a module a measure."""
