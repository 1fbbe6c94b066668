"""Stage 1: fetch the backbone and the raw data; checksums are recorded in the run card."""
