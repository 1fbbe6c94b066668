"""Reward models as folders that stand alone: other tools load them and compute the same rewards."""

WEIGHTS, CARD, PROVENANCE = "model.safetensors", "README.md", "provenance.json"
