"""Model: from a Spec to a detector; `first` infers P(O), `second` infers P(C|O)."""
