"""Do samples show what their prompts say? By the cosines of samples and prompts of an extractor that `Reads`.

None of this sees more than its extractor does: what real samples reach with their own captions is about the most that
can be expected, and stands beside every value (`expected`). An extractor that was trained on the clips that a model was
trained on may flatter it, by as much as the extractor's figures on its training clips are above its held-out ones.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from multigen.evaluation.collection import Collection
from multigen.evaluation.contract import Need, PerPrompt, Reads
from multigen.metrics import ranks

DRAWS = 200


def values(collection: Collection, metric: PerPrompt, reader: Reads, /) -> Tensor:
    """(n,) float64, of every sample of a prompted collection."""
    return metric.score(*similarities(collection, reader))


def similarities(collection: Collection, reader: Reads, /) -> tuple[Tensor, Tensor]:
    """Cosines (n, k) of samples and their different prompts, float64, and which prompt is each sample's (n,)."""
    prompts = [record.prompt for record in collection.records]
    different = list(dict.fromkeys(prompts))
    features = F.normalize(collection.features(reader.name), dim=1)
    texts = F.normalize(reader.text(different).double(), dim=1)
    return features @ texts.T, torch.tensor([different.index(prompt) for prompt in prompts])


def expected(metric: PerPrompt, similarity: Tensor, own: Tensor, count: int, /, *, seed: int = 0) -> Tensor:
    """(n,): the mean of every sample's value over random sets of `count` of the prompts, its own among them.

    So real samples with many captions are told apart under the same odds as made ones with few prompts. NaN for the
    samples of a prompt that was never drawn.
    """
    k = similarity.shape[1]
    if count == k:
        return metric.score(similarity, own)
    generator = torch.Generator().manual_seed(seed)
    total, times = torch.zeros(2, len(own), dtype=torch.float64)
    for _ in range(DRAWS):
        chosen = torch.randperm(k, generator=generator)[:count]
        place = torch.full((k,), -1).index_put_((chosen,), torch.arange(count))[own]
        inside = place >= 0
        total[inside] += metric.score(similarity[inside][:, chosen], place[inside])
        times += inside
    mean: Tensor = total / times
    return mean


def _accuracy(similarity: Tensor, own: Tensor) -> Tensor:
    return (ranks(similarity, own) == 1).double()


def _retrieved(most: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Whether one of the own prompt's samples is among so many that are the most like the prompt; ties count against
    it."""

    def score(similarity: Tensor, own: Tensor) -> Tensor:
        is_own = own[:, None] == torch.arange(similarity.shape[1])
        best = similarity.masked_fill(~is_own, -math.inf).amax(0)
        ahead = ((similarity >= best) & ~is_own).sum(0)
        return (ahead < most).double()[own]

    return score


def _retrieved_by_chance(most: int) -> Callable[[Tensor, Tensor], float]:
    def chance(similarity: Tensor, own: Tensor) -> float:
        n, counts = len(own), torch.bincount(own, minlength=similarity.shape[1])
        missed = torch.tensor([math.comb(n - int(c), most) / math.comb(n, min(most, n)) for c in counts])
        return 1 - float(missed.double()[own].mean())

    return chance


def _with_others(similarity: Tensor, own: Tensor) -> float:
    return float(similarity.masked_select(own[:, None] != torch.arange(similarity.shape[1])).mean())


PROMPTED: Sequence[PerPrompt] = (
    PerPrompt(
        name="prompt-accuracy",
        about="share of samples that are more like their own prompt than like any other prompt of the set",
        source="arXiv 2103.00020, section 3.1",
        higher_is_better=True,
        needs=frozenset({Need.PROMPTS}),
        score=_accuracy,
        chance=lambda similarity, own: 1 / similarity.shape[1],
        share=True,
    ),
    *(
        PerPrompt(
            name=f"retrieval-r{most}",
            about=f"how often one of a prompt's samples is among the {most} of the set that are the most like it"
            if most > 1
            else "how often the sample of the set that is the most like a prompt is one of its own",
            source="arXiv 2103.00020, section 3.1",
            higher_is_better=True,
            needs=frozenset({Need.PROMPTS}),
            score=_retrieved(most),
            chance=_retrieved_by_chance(most),
            share=True,
        )
        for most in (1, 5)
    ),
    PerPrompt(
        name="text-similarity",
        about="mean cosine of samples and their prompts; chance is that of samples and the other prompts",
        source="arXiv 2104.08718, without its factor",
        higher_is_better=True,
        needs=frozenset({Need.PROMPTS}),
        score=lambda similarity, own: similarity.gather(1, own[:, None])[:, 0],
        chance=_with_others,
    ),
)
"""In the order in which they are shown."""
