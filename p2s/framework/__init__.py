"""The paper's Figures 1 to 3: the framework, from a trained model, built models and records."""
