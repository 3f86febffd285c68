"""Sources by what training has seen of them, as the shared tasks of SIGMORPHON tell them apart since 2021."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rnncli.data.columns import SourceText

SEEN, UNSEEN = "seen", "unseen"
BOTH, SOURCE, FEATURES, NEITHER = "both", "source only", "features only", "neither"
"""Groups of sources with features: training has the source and the set of features, though perhaps not together."""


@dataclass(frozen=True)
class SeenSources:
    """The sources of the training data.

    Attributes:
        texts: Their texts without features.
        features: Their sets of features; empty where the task has none.
        tags: Returns the features of a source one by one.
    """

    texts: frozenset[str]
    features: frozenset[frozenset[str]]
    tags: Callable[[SourceText], list[str]] = SourceText.tags

    @classmethod
    def of(cls, sources: Iterable[str], tags: Callable[[SourceText], list[str]] = SourceText.tags) -> SeenSources:
        """Return those of training, given as `source` or `source<TAB>features`."""
        parsed = [SourceText.parse(source) for source in sources]
        bundles = frozenset(frozenset(tags(each)) for each in parsed if each.features is not None)
        return cls(frozenset(each.text for each in parsed), bundles, tags)

    def group_of(self, source: SourceText) -> str:
        """Return the group of a source."""
        known = source.text in self.texts
        if source.features is None:
            return SEEN if known else UNSEEN
        if frozenset(self.tags(source)) in self.features:
            return BOTH if known else FEATURES
        return SOURCE if known else NEITHER
