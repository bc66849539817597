"""How this relay and its peers are doing, for Kubernetes and the operator."""
