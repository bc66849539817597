"""Builders of Kubernetes objects, one module per kind: pure, from the resource's spec to a dict for server-side apply."""
