"""Does the router order open prompts by their length, and is its order any use there?

    python -m benchmarks.open_prompts DATA_FOLDER [--router local]

DATA_FOLDER as for `benchmarks.learning`. For each stream, and for the hand-written prompts of all
domains, printed are the rank correlation (Spearman) of score and length, APGR with its 95 %
interval by bootstrap, and the share of prompts at or above the overall threshold. `--router` is a
router or the folder of a checkpoint.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from benchmarks.learning import ROUTELLM, STREAMS, outcomes_of
from benchmarks.tables import heading, line
from experiments.analysis.routing.measures import evaluate
from experiments.routers.domain_prompts import load_sources
from experiments.routers.features import featurise
from experiments.routers.loading import Scorer, load_router
from experiments.routers.local import OVERALL, calibrated_thresholds

SEED = 0
MOST = 1_500  # prompts of a stream


def main() -> None:
    arguments = _arguments()
    folder: Path = arguments.folder
    router = load_router(arguments.router)
    present = [one for one in STREAMS if one.file != ROUTELLM and (folder / one.file).exists()]
    if not present:
        sys.exit(f"{folder} has none of the files that this benchmark reads.")
    print(heading("prompts", "n", "rank correlation with length", "APGR", "above the threshold"))
    written = [text for source in load_sources() for text in (*source.seed, *source.prompts)]
    written = [text for text in written if not featurise(text).options]
    print(_line("written", written, _scores(router, written), ""), flush=True)
    for stream in present:
        outcomes = outcomes_of(folder, stream._replace(rows=MOST))
        scores = _scores(router, outcomes.prompts)
        found = evaluate(scores, outcomes.strong, outcomes.weak, seed=SEED)
        apgr, within = found.measures.apgr, found.intervals.get("apgr")
        text = "undefined"
        if apgr is not None and within is not None:
            text = f"{apgr:.3f} ({within.low:.3f} to {within.high:.3f})"
        print(_line(stream.name, outcomes.prompts, scores, text), flush=True)


def _scores(router: Scorer, prompts: Sequence[str]) -> NDArray[np.float64]:
    return np.array([router.score(featurise(prompt)) for prompt in prompts])


def _line(name: str, prompts: Sequence[str], scores: NDArray[np.float64], apgr: str) -> str:
    rank = float(spearmanr(scores, [len(prompt) for prompt in prompts]).statistic)
    above = float((scores >= calibrated_thresholds()[OVERALL]).mean())
    return line(name, str(len(prompts)), f"{rank:+.2f}", apgr, f"{100 * above:.0f} %")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--router", default="local")
    return parser.parse_args()


if __name__ == "__main__":
    main()
