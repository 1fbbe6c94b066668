"""Stage 6: the reward of every token of every evaluation response."""
