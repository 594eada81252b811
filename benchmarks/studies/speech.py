"""Spoken digits as log-mel features; `spoken_digits` builds the file of recordings.

Test takes are 0 to 4 of every speaker and digit, the data set's own split; 5 to 9 are for validation, the rest for
training. In training, features are shifted, masked and get noise.
"""

from pathlib import Path

import numpy as np

from .sequences import Recipe, standardised, stretched
from .spoken_digits import RATE

BANDS, FRAMES = 32, 32
SILENCE = 8.0  # lower logarithms of a band's power are set to this, for samples of 16 bits
TEST, VALIDATION = 5, 10  # takes below 5, and below 10
RECIPE = Recipe(hidden=128, classes=10, epochs=20, batch=128, noise=0.2, shift=2, mask=4)


def load(path):
    """Load features ``[recordings, FRAMES, BANDS]``, digits, speakers and takes."""
    with np.load(path, allow_pickle=False) as file:
        if int(file["rate"]) != RATE:
            raise ValueError(f"{Path(path).name}: expected recordings at {RATE} Hz, got {int(file['rate'])}")
        recordings = np.split(file["samples"], np.cumsum(file["lengths"])[:-1])
        labels = (file[name] for name in ("digit", "speaker", "take"))
        return np.stack(list(map(log_mel, recordings))), *labels


def log_mel(samples, bands=BANDS, frames=FRAMES):
    """Return the log power in mel bands, with its mean subtracted and its duration stretched to ``frames``."""
    import kaldi_native_fbank  # here: other settings do without it

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = RATE
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = False  # a frame every 10 ms, the edges mirrored
    options.mel_opts.num_bins = bands
    bank = kaldi_native_fbank.OnlineFbank(options)
    bank.accept_waveform(RATE, samples.astype(np.float32).tolist())
    bank.input_finished()
    spectrum = np.maximum([bank.get_frame(i) for i in range(bank.num_frames_ready)], SILENCE)
    return stretched(spectrum - spectrum.mean(), frames)


def by_take(take):
    """Split by take as the data set does, with some training takes for validation."""
    test, validation = take < TEST, (take >= TEST) & (take < VALIDATION)
    parts = {"train": take >= VALIDATION, "validation": validation, "test": test}
    return {part: np.flatnonzero(chosen) for part, chosen in parts.items()}


def parts(features, digit, take):
    """Return the standardised features and the labels of each part of the data set's own split."""
    split = by_take(take)
    features = standardised(features, split["train"])
    return [(features[rows], digit[rows].astype(np.int32)) for rows in split.values()]
