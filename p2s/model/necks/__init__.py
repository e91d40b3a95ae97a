"""Necks: from the stages of a trunk to levels of equal width."""
