"""Build the file of spoken digits that `speech` reads from the public recordings.

``git clone https://github.com/Jakobovski/free-spoken-digit-dataset``, then
``python -m benchmarks.studies.spoken_digits free-spoken-digit-dataset/recordings``. A recording is called
``{digit}_{speaker}_{take}.wav``, 8 kHz, mono, 16 bits.
"""

import argparse
import wave
from pathlib import Path

import numpy as np

RATE = 8000


def build(folder: Path) -> dict[str, np.ndarray]:
    """Build the arrays of the file, with the recordings sorted by name.

    Args:
      folder: of the WAV files.

    Returns:
      ``samples`` (all recordings one after another), their ``lengths``, and ``digit``, ``speaker`` and ``take`` of
      each; ``rate``.

    Raises:
      ValueError: no recordings, or one of another kind.
    """
    paths = sorted(Path(folder).glob("*.wav"), key=lambda path: path.name)
    if not paths:
        raise ValueError(f"expected {folder} to hold recordings such as 7_jackson_32.wav, found no WAV file there")
    digits, speakers, takes = zip(*map(parse_name, paths), strict=True)
    recordings = list(map(read_wav, paths))
    return {
        "samples": np.concatenate(recordings),
        "lengths": np.array(list(map(len, recordings)), np.int32),
        "digit": np.array(digits, np.uint8),
        "speaker": np.array(speakers),
        "take": np.array(takes, np.uint8),
        "rate": np.array(RATE, np.int32),
    }


def parse_name(path: Path) -> tuple[int, str, int]:
    """Read digit, speaker and take from the name of a file."""
    try:
        digit, speaker, take = path.stem.split("_")
        return int(digit), speaker, int(take)
    except ValueError:
        raise ValueError(f"expected a file called digit_speaker_take.wav, got {path.name}") from None


def read_wav(path: Path) -> np.ndarray:
    """Read the samples of a recording."""
    with wave.open(str(path)) as file:
        kind = (file.getframerate(), file.getnchannels(), 8 * file.getsampwidth())
        if kind != (RATE, 1, 16):
            raise ValueError(f"{path.name}: expected {RATE} Hz, 1 channel, 16 bits, got {', '.join(map(str, kind))}")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.spoken_digits", description=__doc__.splitlines()[0]
    )
    parser.add_argument("recordings", type=Path, help="the folder of WAV files")
    parser.add_argument("--out", type=Path, default=Path("free_spoken_digits.npz"), metavar="FILE")
    args = parser.parse_args(argv)
    try:
        arrays = build(args.recordings)
    except ValueError as error:
        parser.error(str(error))
    np.savez_compressed(args.out, **arrays)
    print(f"{len(arrays['lengths'])} recordings of {len(set(arrays['speaker']))} speakers in {args.out}")


if __name__ == "__main__":
    main()
