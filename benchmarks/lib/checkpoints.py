"""Checkpoints of a training run with orbax's `CheckpointManager`, and the digest of a state.

orbax writes in the background under a temporary name, and renames the checkpoint when it is complete. A killed process
therefore leaves complete checkpoints, and at most one incomplete one that is ignored.
"""

import copy
import hashlib
import logging
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

# orbax logs each error, which it also raises, and each leftover of an interrupted write.
logging.getLogger("absl").setLevel(logging.CRITICAL)


def manager(folder: Path) -> ocp.CheckpointManager:
    """Open the folder of a run's two newest checkpoints; in a ``with`` statement, it waits for the last write."""
    # No OCDBT: with it, each save of these few arrays leaks another 20 KB of memory (tensorstore 0.1.86).
    handler = ocp.StandardCheckpointHandler(use_ocdbt=False)
    options = ocp.CheckpointManagerOptions(max_to_keep=2)
    return ocp.CheckpointManager(folder.resolve(), item_handlers=handler, options=options)


def save(checkpoints: ocp.CheckpointManager, step: int, state: Any, progress: dict[str, Any]) -> None:
    """Copy a tree of arrays now, and write it in the background with the other values needed to resume, as JSON."""
    checkpoints.save(step, args=ocp.args.StandardSave(state), custom_metadata=copy.deepcopy(progress))


def restore(checkpoints: ocp.CheckpointManager, like: Any) -> tuple[Any, dict[str, Any]] | None:
    """Read the newest checkpoint with the dtypes and devices of ``like``; return None if there is none."""
    step = checkpoints.latest_step()
    if step is None:
        return None
    return checkpoints.restore(step, args=ocp.args.StandardRestore(like)), checkpoints.metadata(step).custom_metadata


def digest(tree: Any) -> str:
    """Return the SHA-256 of the arrays of a tree, PRNG keys included: their names, dtypes, shapes and bits."""
    sha256 = hashlib.sha256()
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    for name, leaf in sorted((jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in leaves):
        is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        value = np.asarray(jax.random.key_data(leaf) if is_key else leaf)
        sha256.update(f"{name} {value.dtype} {value.shape} ".encode() + value.tobytes())
    return sha256.hexdigest()
