package driver

import (
	"context"
	"errors"
	"fmt"
	"time"
)

func (r *run) admin(ctx context.Context) error { return r.library.Admin(ctx, r.env) }

// Step is one thing that an admin does.
type Step struct {
	Name string
	Run  func(context.Context) error
}

// Steps does all of them, even after one has failed. A node that has not heard yet of what another one created is asked again.
func Steps(ctx context.Context, notHeardYet error, steps ...Step) error {
	var all error
	for _, step := range steps {
		var err error
		waited := Eventually(ctx, func() error {
			if err = step.Run(ctx); errors.Is(err, notHeardYet) {
				return err
			}
			return nil
		})
		if waited != nil {
			err = waited
		}
		if err != nil {
			all = errors.Join(all, fmt.Errorf("%s: %w", step.Name, err))
		}
	}
	return all
}

// Fails says what is wrong when something did not fail as it must.
func Fails(got, want error, what string) error {
	if errors.Is(got, want) {
		return nil
	}
	return fmt.Errorf("%s: got %v (%T), not %v", what, got, got, want)
}

// Eventually gives what is true of the cluster a moment to be known to each node.
func Eventually(ctx context.Context, check func() error) error {
	const moment = 20 * time.Second
	ctx, cancel := context.WithTimeout(ctx, moment)
	defer cancel()
	var err error
	if await(ctx, func() string { return "" }, func() bool { err = check(); return err == nil }) != nil {
		return fmt.Errorf("%w, %s later still", err, moment)
	}
	return nil
}

// SendSome sends records to partition 0.
func SendSome(ctx context.Context, library Library, topic string, count int) error {
	r := run{library: library}
	_, err := r.produce(ctx, topic, ProducerOptions{Explicit: true}, numbered(count))
	return err
}
