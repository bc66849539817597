# A real Kubernetes cluster on this machine, for trying things out and for the cluster tests.
# Needs Linux and root; see tests/cluster/README.md.
CLUSTER := PYTHONPATH=tests $(BIN)/python -m cluster.lab

.PHONY: cluster cluster-shell cluster-down cluster-build

cluster: setup ## a cluster with our images, the stand-ins and the chart
	@$(CLUSTER) up

cluster-shell: setup ## a shell inside of it (CMD="..." runs one command)
	@$(CLUSTER) shell $(if $(CMD),-- '$(subst ','\'',$(CMD))',|| true)

cluster-down: setup ## remove it; nothing is left
	@$(CLUSTER) down

cluster-build: setup ## build its programs and images (half an hour the first time)
	@$(CLUSTER) build
