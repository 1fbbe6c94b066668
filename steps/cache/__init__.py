"""Stage 4: one pass of the backbone per text, stored for training and scoring alike."""
