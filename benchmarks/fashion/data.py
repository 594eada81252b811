"""Read Fashion-MNIST from IDX files: 60,000 training and 10,000 test images of 28 x 28 pixels."""

import gzip
import math
import struct
from pathlib import Path

import numpy as np

SIDE, CLASSES, VALIDATION = 28, 10, 5_000
NAMES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
PARTS = {"train": 60_000, "t10k": 10_000}
HELP = """to get Fashion-MNIST, take its files from https://github.com/zalandoresearch/fashion-mnist; or, on Debian,
  apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist_*.deb fashion
  then --data fashion/usr/share/datasets/fashion-mnist"""


def load(folder: Path | None):
    """Read the four IDX files in a folder, gzipped or not.

    Returns:
      Images ``[count, 28, 28, 1]``, 0 to 255, and labels for training, validation (the last 5,000) and the test.
    """
    if folder is None:
        raise ValueError(f"expected --data FOLDER with the four IDX files; {HELP}")
    parts = []
    for name, count in PARTS.items():
        images = read_idx(folder / f"{name}-images-idx3-ubyte", (count, SIDE, SIDE))
        labels = read_idx(folder / f"{name}-labels-idx1-ubyte", (count,))
        counts, each = np.bincount(labels, minlength=CLASSES).tolist(), count // CLASSES
        if counts != [each] * CLASSES:
            raise ValueError(f"{name}: expected {each} images of each of {CLASSES} classes, got {counts}")
        parts.append((images[..., None], labels))
    (images, labels), test = parts
    return (images[:-VALIDATION], labels[:-VALIDATION]), (images[-VALIDATION:], labels[-VALIDATION:]), test


def read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read an IDX file of unsigned bytes with this shape, or the same file with ``.gz`` appended to its name."""
    found = [file for file in (path, path.with_name(f"{path.name}.gz")) if file.is_file()]
    if not found:
        raise ValueError(f"expected {path} or {path.name}.gz, got neither; {HELP}")
    data = found[0].read_bytes()
    data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    header = struct.pack(f">{1 + len(shape)}I", 0x0800 + len(shape), *shape)  # magic number: bytes, axes
    if not data.startswith(header) or len(data) != len(header) + math.prod(shape):
        raise ValueError(f"{found[0]}: expected bytes of shape {shape}, got {len(data):,} bytes, {data[:16].hex()}")
    return np.frombuffer(data, np.uint8, offset=len(header)).reshape(shape)
