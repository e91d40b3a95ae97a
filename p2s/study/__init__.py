"""Study: what is to run, what has run, and its records."""
