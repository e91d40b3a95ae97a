"""Speed: measured as ratios in one run, kept as records. A module a question."""
