"""Finished caches under the hash of their content, so that experiments share them.

``<folder>/<hash>`` holds second names (hard links) of a cache's files. Deleting the folder costs
nothing but the chance to reuse them.
"""

import hashlib
import json
from pathlib import Path

from steps.cache.build import content_plan
from steps.cache.encode import EncodedGroups
from steps.cache.key import CacheKey
from steps.cache.store import Cache
from steps.errors import UserError
from steps.files import link_folder, remove


def shared_folder(
    folder: Path, groups: EncodedGroups, key: CacheKey, tokens_per_batch: int
) -> Path:
    """Return where a cache of these groups lies in the shared folder, if it is there."""
    plan = json.dumps(content_plan(groups, key, tokens_per_batch), sort_keys=True)
    return folder / hashlib.sha256(plan.encode()).hexdigest()[:32]


def reuse(shared: Path, output: Path) -> bool:
    """Give a shared cache's files a second name in ``output``; return whether there was one.

    One that is damaged or may not be read is forgotten.
    """
    if not shared.is_dir():
        return False
    try:
        Cache(shared).check_hashes()
    except (UserError, PermissionError) as error:
        print(f"not reused: {error}")
        remove(shared)
        return False
    link_folder(shared, output)
    return True
