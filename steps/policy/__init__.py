"""Policies trained by DPO on pairs that a reward model picked among samples."""
