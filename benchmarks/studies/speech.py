"""Build the file of spoken digits from the public recordings, and read it as log-mel features.

Run ``git clone https://github.com/Jakobovski/free-spoken-digit-dataset``, then ``python -m benchmarks.studies.speech
free-spoken-digit-dataset/recordings``. Recordings are named ``{digit}_{speaker}_{take}.wav``, 8 kHz, mono, 16 bits.

Takes 0 to 4 of every speaker and digit are for the test, as in the data set's own split; 5 to 9 are for validation, the
others for training.
"""

import argparse
import re
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from .data import standardised, stretched

RATE = 8000
BANDS, FRAMES = 32, 32
SILENCE = 8.0  # the lower limit of the logarithm of a band's power, for 16-bit samples
TEST, VALIDATION = 5, 10  # takes below 5, and below 10


def build(folder: Path) -> dict[str, np.ndarray]:
    """Build the arrays of the file, with the recordings sorted by name.

    Args:
      folder: the folder of the WAV files.

    Returns:
      ``samples`` (all recordings one after another), their ``lengths``, and ``digit``, ``speaker`` and ``take`` of
      each; ``rate``.

    ValueError: There are no recordings, or one has another format.
      ValueError: no recordings, or one of another kind.
    """
    paths = sorted(Path(folder).glob("*.wav"), key=lambda path: path.name)
    if not paths:
        raise ValueError(f"expected {folder} to hold recordings such as 7_jackson_32.wav, found no WAV file there")
    digits, speakers, takes, recordings = zip(*map(read, paths), strict=True)
    return {
        "samples": np.concatenate(recordings),
        "lengths": np.array(list(map(len, recordings)), np.int32),
        "digit": np.array(digits, np.uint8),
        "speaker": np.array(speakers),
        "take": np.array(takes, np.uint8),
        "rate": np.array(RATE, np.int32),
    }


def read(path: Path) -> tuple[int, str, int, np.ndarray]:
    """Read digit, speaker and take from the name of a file, and its samples."""
    named = re.fullmatch(r"(\d+)_([^_]+)_(\d+)", path.stem)
    if named is None:
        raise ValueError(f"expected a file called digit_speaker_take.wav, got {path.name}")
    rate, samples = wavfile.read(path)
    if (rate, samples.ndim, samples.dtype) != (RATE, 1, np.int16):
        raise ValueError(f"{path.name}: expected {RATE} Hz, mono int16, got {rate} Hz, {samples.dtype}{samples.shape}")
    return int(named[1]), named[2], int(named[3]), samples


def load(path):
    """Load features ``[recordings, FRAMES, BANDS]``, digits, speakers and takes."""
    with np.load(path, allow_pickle=False) as file:
        recordings = np.split(file["samples"], np.cumsum(file["lengths"])[:-1])
        labels = (file[name] for name in ("digit", "speaker", "take"))
        return np.stack(list(map(log_mel, recordings))), *labels


def log_mel(samples):
    """Return the log power in mel bands, with its mean subtracted and its duration stretched to `FRAMES`."""
    import kaldi_native_fbank  # imported here, because other settings do not need it

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = RATE
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = False  # one frame every 10 ms, with mirrored edges
    options.mel_opts.num_bins = BANDS
    bank = kaldi_native_fbank.OnlineFbank(options)
    bank.accept_waveform(RATE, samples.astype(np.float32).tolist())
    bank.input_finished()
    spectrum = np.maximum([bank.get_frame(i) for i in range(bank.num_frames_ready)], SILENCE)
    return stretched(spectrum - spectrum.mean(), FRAMES)


def by_take(take):
    """Split by take like the data set, with some training takes for validation."""
    test, validation = take < TEST, (take >= TEST) & (take < VALIDATION)
    parts = {"train": take >= VALIDATION, "validation": validation, "test": test}
    return {part: np.flatnonzero(chosen) for part, chosen in parts.items()}


def parts(features, digit, take):
    """Return the standardised features and the labels of each part of the data set's own split."""
    split = by_take(take)
    features = standardised(features, split["train"])
    return [(features[rows], digit[rows].astype(np.int32)) for rows in split.values()]


def main(argv=None):
    """Build the file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.speech", description=__doc__.splitlines()[0])
    parser.add_argument("recordings", type=Path, help="the folder of WAV files")
    parser.add_argument("--out", type=Path, default=Path("free_spoken_digits.npz"), metavar="FILE")
    args = parser.parse_args(argv)
    arrays = build(args.recordings)
    np.savez_compressed(args.out, **arrays)
    print(f"{len(arrays['lengths'])} recordings of {len(set(arrays['speaker']))} speakers in {args.out}")


if __name__ == "__main__":
    main()
