"""Second stages, which infer P(C|O) of each proposal."""
