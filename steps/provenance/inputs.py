"""Whether the files that a step has read are still what the step before it wrote."""

from steps.errors import UserError
from steps.provenance.ancestry import normal_path, read_steps


def refuse_changed(hashes: dict[str, str]) -> None:
    """Refuse inputs that no longer have the hash that their own step noted on its run card.

    So a bit that has flipped on a disk, or a copy that was cut, does not go on into a table. What
    no step wrote, such as data of the user, has no card and may be anything. Experiments may have
    made the same file, such as a download; one card that agrees is enough.

    Args:
        hashes: SHA-256 of each input, by its path.

    Raises:
        UserError: names the first such input.
    """
    noted: dict[str, set[str]] = {}
    for step in read_steps():
        for path, digest in step.outputs.items():
            noted.setdefault(path, set()).add(digest)
    for path, found in hashes.items():
        if found not in noted.get(normal_path(path), {found}):
            raise UserError(
                f"{path} is not what its step wrote: its hash is another one than on the run card; "
                "delete it and start again, then its step makes it again"
            )
