"""Tables (CSV, Markdown, LaTeX) and figures (PNG, PDF) from the evaluation of an experiment."""
