//go:build tools

// The program is compiled from its module; this names it, so that `go mod tidy` keeps what it needs.
package tools

import _ "github.com/prometheus/prometheus/cmd/promtool"
