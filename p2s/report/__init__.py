"""Report: from records to tables, figures, sentences and pages; no model is built here."""
