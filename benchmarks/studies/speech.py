"""Spoken digits: recurrent LIF networks of the whole family beside a GRU, an MLP and logistic regression.

``python -m benchmarks.studies.speech free_spoken_digits.npz``; `benchmarks.studies.spoken_digits` builds that file.
Test takes are 0 to 4 of every speaker and digit, the data set's own split; 5 to 9 are for validation, the rest for
training. A second split holds out a whole speaker at a time. Everyone sees the same log-mel features, shifted, masked
and with noise.
"""

import importlib.metadata
from pathlib import Path

import numpy as np

from ..lib.study import Study, arguments
from .comparison import LOGISTIC, OTHERS, Task, compare, grids, record, settings
from .sequences import Recipe, standardised, stretched
from .spoken_digits import RATE

BANDS, FRAMES = 32, 32
SILENCE = 8.0  # lower logarithms of a band's power are set to this, for samples of 16 bits
TEST, VALIDATION = 5, 10  # takes below 5, and below 10
RECIPE = Recipe(hidden=128, classes=10, epochs=20, batch=128, noise=0.2, shift=2, mask=4)
SHORT = 5  # epochs to choose a grid point


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
    import kaldi_native_fbank  # here: the page of evidence imports this file for its docstring alone

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


def by_speaker(speaker, take):
    """Make one split per speaker: test on all of one speaker, train on the training takes of the others."""
    splits = []
    for name in np.unique(speaker):
        mine, train = speaker == name, take >= VALIDATION
        splits.append({"train": np.flatnonzero(~mine & train), "test": np.flatnonzero(mine)})
    return splits


def main(argv=None):
    """Train every entrant on the data set's split; then some of them for unseen speakers."""

    def extend(parser):
        parser.add_argument("data", type=Path, help="the file of recordings, free_spoken_digits.npz")

    args = arguments("studies.speech", __doc__, 10, argv, extend)
    features, digit, speaker, take = load(args.data)
    entrants, recipe, short = grids(args.quick), RECIPE, SHORT
    if args.quick:
        recipe, short = RECIPE._replace(hidden=32, batch=32, epochs=10), 5
    task, split, speakers = Task(features, digit, recipe, short), by_take(take), by_speaker(speaker, take)
    about = {
        "task": f"spoken digits: {len(digit)} recordings, {len(speakers)} speakers",
        **settings(task, split, args.seeds),
        "speakers": np.unique(speaker).tolist(),
        "features": f"log-mel, {BANDS} bands, {FRAMES} frames",
        "features_by": f"kaldi-native-fbank {importlib.metadata.version('kaldi-native-fbank')}",
    }
    study = Study("speech", about, args.out, total=entrants.size() + (1 if args.quick else 5))
    best = compare(study, task, entrants, [split], split, about["choosing_seeds"], about["seeds"])

    def validation(name):
        return np.mean(study.result["runs"][f"{name}, best"]["validation"])

    rival = max(set(entrants.surrogates) - {"LogTailedRelu"}, key=validation)
    again = ["LogTailedRelu"] if args.quick else ["LogTailedRelu", rival, *OTHERS, LOGISTIC]
    for name in again:
        how = [best[name]], speakers, about["choosing_seeds"], recipe.epochs
        record(study, f"{name}, unseen speakers", task, name, *how)
    study.finish()


if __name__ == "__main__":
    main()
