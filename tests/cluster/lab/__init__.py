"""A real Kubernetes cluster of one node or two, in network, process and mount namespaces of its own, for tests and for trying things out."""

from cluster.lab.errors import BuildError, CommandError, LabError
from cluster.lab.lab import Lab
from cluster.lab.prerequisites import missing_prerequisites

__all__ = ["BuildError", "CommandError", "Lab", "LabError", "missing_prerequisites"]
