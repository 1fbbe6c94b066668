"""How policies are called in samples and tables."""

REFERENCE = "reference"  # the policy that all others started from


def policy_name(method: str, seed: int) -> str:
    """Return the name of the policy that was trained on the pairs of a reward model."""
    return f"{method}-seed{seed}"
