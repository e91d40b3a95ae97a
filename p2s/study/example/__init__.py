"""Example: the trained detector that comes with the package, made of a run of the study."""
