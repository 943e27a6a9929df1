// kstatus says what sigs.k8s.io/cli-utils reads off objects: a JSON array of objects on standard input, an array of
// {"status", "message"} on standard output.
package main

import (
	stdjson "encoding/json"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kstatus:", err)
		os.Exit(1)
	}
}

func run() error {
	data, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	// This package keeps whole numbers whole, as a client of the API does.
	var objects []any
	if err := json.Unmarshal(data, &objects); err != nil {
		return err
	}
	verdicts := make([]verdict, 0, len(objects))
	for number, object := range objects {
		fields, ok := object.(map[string]any)
		if !ok {
			return fmt.Errorf("item %d is no object", number)
		}
		result, err := status.Compute(&unstructured.Unstructured{Object: fields})
		if err != nil {
			return err
		}
		verdicts = append(verdicts, verdict{result.Status.String(), result.Message})
	}
	return stdjson.NewEncoder(os.Stdout).Encode(verdicts)
}
