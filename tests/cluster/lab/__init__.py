"""A real Kubernetes cluster of one node or two, in namespaces of its own (network, processes, mounts)."""

from cluster.lab.errors import BuildError, CommandError, LabError
from cluster.lab.lab import Lab
from cluster.lab.prerequisites import missing_prerequisites

__all__ = ["BuildError", "CommandError", "Lab", "LabError", "missing_prerequisites"]
