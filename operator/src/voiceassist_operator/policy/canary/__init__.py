"""A canary of the prompt: what calls get of it, whether it does worse than the stable one, and which step comes next. Pure."""
