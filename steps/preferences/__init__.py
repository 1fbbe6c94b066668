"""Preferences of a reward model: which two samples of a prompt a policy learns from."""
