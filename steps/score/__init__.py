"""Stage 6: the reward of every token of every evaluation response; and of any other file."""
