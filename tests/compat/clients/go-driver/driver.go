// Package driver runs the cases of the client matrix through a Kafka library in Go. What a case asks of the library is in
// library.go, the cases are in case_*.go; a library is one adapter that has no opinion of its own.
//
// The report is TAP: "ok - CASE", "ok - CASE: note", "not ok - CASE: reason", "ok - CASE # SKIP reason".
package driver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
)

// Shorter than what the cases may take by the matrix's rules, so that a case that hangs is reported and the others still run.
const caseLimit = 55 * time.Second

// Env is what the matrix tells a driver.
type Env struct {
	Bootstrap  []string
	prefix     string
	killLeader string
	topics     atomic.Int32
}

// Name makes a name for a topic or a group that no other case uses.
func (e *Env) Name(what string) string {
	return fmt.Sprintf("%s-%s-%d", e.prefix, what, e.topics.Add(1))
}

// KillLeader kills (-9) the node that leads a partition.
func (e *Env) KillLeader(ctx context.Context, topic string, partition int32) error {
	return e.ask(ctx, topic, fmt.Sprint(partition))
}

// reviveNodes brings back those that were killed. On a busy machine a JVM may take longer than one try waits.
func (e *Env) reviveNodes(ctx context.Context) error {
	err := e.ask(ctx)
	if err != nil {
		err = e.ask(ctx)
	}
	return err
}

func (e *Env) ask(ctx context.Context, arguments ...string) error {
	words := append(strings.Fields(e.killLeader), arguments...)
	said, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, oneLine(string(said)))
	}
	return nil
}

// Skip says why a case cannot be had from this library or this cluster.
func Skip(reason string) error { return skipped(reason) }

type skipped string

func (s skipped) Error() string { return string(s) }

// note is the result of a case that went well and has more to say.
type note string

func (n note) Error() string { return string(n) }

type run struct {
	env     *Env
	library Library
}

type testCase struct {
	name  string
	run   func(*run, context.Context) error
	kills bool
}

// The cases that kill nodes come last.
var cases = []testCase{
	{name: "codec-none", run: codec("none")},
	{name: "codec-gzip", run: codec("gzip")},
	{name: "codec-snappy", run: codec("snappy")},
	{name: "codec-lz4", run: codec("lz4")},
	{name: "codec-zstd", run: codec("zstd")},
	{name: "headers", run: (*run).headers},
	{name: "null-key-value", run: (*run).nullKeyValue},
	{name: "big-record", run: (*run).bigRecord},
	{name: "idempotence", run: (*run).idempotence},
	{name: "partitioner", run: (*run).partitioner},
	{name: "offsets", run: (*run).offsets},
	{name: "group", run: (*run).group},
	{name: "group-cooperative", run: (*run).groupCooperative},
	{name: "group-static", run: (*run).groupStatic},
	{name: "admin", run: (*run).admin},
	{name: "txn-refused", run: (*run).txnRefused},
	{name: "group-killed", run: (*run).groupKilled, kills: true},
	{name: "leader-killed", run: (*run).leaderKilled, kills: true},
}

// Main runs the cases (those named in the arguments, or all), or with the argument "version" prints the library's.
func Main(module string, open func(*Env) (Library, error)) {
	names := os.Args[1:]
	if len(names) == 1 && names[0] == "version" {
		fmt.Println(version(module))
		return
	}
	env := &Env{
		Bootstrap:  strings.Split(os.Getenv("BOOTSTRAP"), ","),
		prefix:     os.Getenv("PREFIX"),
		killLeader: os.Getenv("KILL_LEADER"),
	}
	library, err := open(env)
	if err != nil {
		fmt.Println("not ok - start:", oneLine(err.Error()))
		os.Exit(1)
	}
	if !report(&run{env, library}, names) {
		os.Exit(1)
	}
}

// The name and version of the library that was linked.
func version(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return module[strings.LastIndex(module, "/")+1:] + " " + strings.TrimPrefix(dependency.Version, "v")
		}
	}
	return module
}

func report(r *run, names []string) bool {
	good := true
	for _, c := range cases {
		if len(names) > 0 && !contains(names, c.name) {
			continue
		}
		switch err := r.prepared(c).(type) {
		case nil:
			fmt.Println("ok -", c.name)
		case note:
			fmt.Printf("ok - %s: %s\n", c.name, oneLine(err.Error()))
		case skipped:
			fmt.Printf("ok - %s # SKIP %s\n", c.name, err)
		default:
			fmt.Printf("not ok - %s: %s\n", c.name, oneLine(err.Error()))
			good = false
		}
	}
	return good
}

// prepared does not count the time that the nodes of the case before take to come back.
func (r *run) prepared(c testCase) error {
	if c.kills {
		if err := r.env.reviveNodes(context.Background()); err != nil {
			return err
		}
	}
	return r.limited(c)
}

// A case that does not heed its context is left behind.
func (r *run) limited(c testCase) error {
	ctx, cancel := context.WithTimeout(context.Background(), caseLimit)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- c.run(r, ctx) }()
	select {
	case err := <-ended:
		return err
	case <-time.After(caseLimit + 3*time.Second):
		return fmt.Errorf("not over after %s", caseLimit)
	}
}

// await polls until the condition holds; what says what was waited for.
func await(ctx context.Context, what func() string, holds func() bool) error {
	for !holds() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("in vain awaited: %s", what())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
