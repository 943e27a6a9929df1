// alertmanager serves the API (version 2) and the silences of Prometheus' Alertmanager, and nothing else of it: its
// pages are not in its module. The address it listens on is the first line that it prints.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/alertmanager/api"
	"github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/types"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/route"
)

const anything = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "alertmanager:", err)
		os.Exit(1)
	}
}

func run() error {
	log, nothing := slog.New(slog.NewTextHandler(os.Stderr, nil)), eventrecorder.NopRecorder()
	silences, err := silence.New(silence.Options{
		Retention:     time.Hour,
		Logger:        log,
		Metrics:       prometheus.NewRegistry(),
		EventRecorder: nothing,
	})
	if err != nil {
		return err
	}
	alerts, err := mem.NewAlerts(context.Background(), time.Hour, 0, nil, log, nothing, nil, nil)
	if err != nil {
		return err
	}
	seconds := prometheus.HistogramOpts{Name: "seconds"}
	served, err := api.New(api.Options{
		Alerts:          alerts,
		Silences:        silences,
		RequestDuration: prometheus.NewHistogramVec(seconds, []string{"handler", "method", "code"}),
		Logger:          log,
		GroupMutedFunc:  func(string, string) ([]string, bool) { return nil, false },
		GroupFunc: func(context.Context, func(*dispatch.Route) bool, func(*types.Alert, time.Time) bool) (
			dispatch.AlertGroups, map[model.Fingerprint][]string, error) {
			return nil, nil, nil
		},
	})
	if err != nil {
		return err
	}
	settings, err := config.Load(anything)
	if err != nil {
		return err
	}
	served.Update(settings, func(context.Context, model.LabelSet) {})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	return http.Serve(listener, served.Register(route.New(), "/"))
}
