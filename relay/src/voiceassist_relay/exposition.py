"""What Prometheus reads: a registry's samples with the labels that all of them bear, and without the moments of their creation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric


class Labelled:
    """A registry seen with constant labels. A sample's own label of the same name wins.

    A counter's `_created` series is left out: Prometheus does not use it, and each would count as a series more.
    """

    def __init__(self, registry: CollectorRegistry, labels: Mapping[str, str]) -> None:
        self._registry, self._labels = registry, dict(labels)

    def collect(self) -> Iterator[Metric]:
        """The metric families, as `prometheus_client.exposition.generate_latest` asks for them."""
        for family in self._registry.collect():
            family.samples = [
                sample._replace(labels={**self._labels, **sample.labels})
                for sample in family.samples
                if not sample.name.endswith("_created")
            ]
            yield family
