"""Our rewards against those of the publisher's own program, the PyPI package ``rewardbench``."""
