// A CoreDNS with only the plugins that the test cluster uses: the cluster's own names, a fixed answer for the names under which the
// ingress controller is reached, and "no such name" for the rest of the world.
package main

import (
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/template"

	"github.com/coredns/coredns/coremain"
)

func main() { coremain.Run() }
