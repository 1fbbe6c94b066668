"""Sampling: a language model answers prompts; the answers become prompt groups."""
