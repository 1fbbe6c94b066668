"""Where an output came from: the run cards that steps write, and the ancestry read from them."""

from steps.provenance.card import ROOT, RunCard, code_facts, processor

__all__ = ["ROOT", "RunCard", "code_facts", "processor"]
