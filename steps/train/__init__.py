"""Stage 5: reward-model training."""
