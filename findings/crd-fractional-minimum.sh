#!/usr/bin/env bash
# kube-openapi v0.0.0-20250910181357 (Kubernetes 1.35): a CRD's fractional minimum does not hold for whole numbers.
#
# One would expect: of a field {type: number, minimum: 0.5} the API server refuses 0 as it refuses 0.25.
# What happens:     the value's own kind decides how it is compared. A whole number in the manifest is an int64, and the bound is cut to an
#                   int64 for it: 0 is held against 0, and accepted, while 0.25 is held against 0.5, and refused.
# What it costs:    "above 0" written as `minimum: 0.000001` lets in 0, the one value that it is there for: who divides by it, or takes it
#                   for "no limit", finds that out in the controller. `maximum: 0.5` is cut likewise.
# What to do:       write `minimum: 0` with `exclusiveMinimum: true`, or a CEL rule; test a rule with the whole number too.
set -euo pipefail
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"
export GOFLAGS=-mod=mod GOPATH="$folder/go" GOCACHE="$folder/cache"
version=v0.0.0-20250910181357-589584f1c912
cat > go.mod <<MOD
module finding

go 1.25

require k8s.io/kube-openapi $version
MOD
cat > main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
)

// Kubernetes reads a manifest's numbers like this: int64 where they are whole, else float64.
func read(text string) any {
	var whole int64
	if json.Unmarshal([]byte(text), &whole) == nil {
		return whole
	}
	var broken float64
	if err := json.Unmarshal([]byte(text), &broken); err != nil {
		panic(err)
	}
	return broken
}

func main() {
	half, above := `{"type":"number","minimum":0.5}`, `{"type":"number","minimum":0,"exclusiveMinimum":true}`
	same := true
	for _, one := range []struct {
		schema, value string
		seen          bool
	}{{half, "0", true}, {half, "0.25", false}, {half, "1", true}, {above, "0", false}, {above, "0.25", true}, {above, "1", true}} {
		var schema spec.Schema
		if err := json.Unmarshal([]byte(one.schema), &schema); err != nil {
			panic(err)
		}
		valid := validate.NewSchemaValidator(&schema, nil, "", strfmt.Default).Validate(read(one.value)).IsValid()
		fmt.Printf("%-54s %-5s accepted: %t\n", one.schema, one.value, valid)
		same = same && valid == one.seen
	}
	if !same {
		fmt.Println("this is not what was seen before")
		os.Exit(1)
	}
}
GO
echo "kube-openapi $version"
go run . 2> "$folder/told" || { cat "$folder/told"; exit 1; }
