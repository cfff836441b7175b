package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"skiff.test/driver"
)

// A member polls in a goroutine of its own. A rebalance waits for the poll to be over, so what was read can be committed first.
type member struct {
	client *kgo.Client
	stop   context.CancelFunc
	over   chan error
	left   error // what went wrong when partitions were taken from it
}

func (l *library) NewMember(options driver.MemberOptions) (driver.Member, error) {
	balancer := kgo.RoundRobinBalancer()
	if options.Cooperative {
		balancer = kgo.CooperativeStickyBalancer()
	}
	m := &member{over: make(chan error, 1)}
	opts := []kgo.Opt{
		l.seeds, kgo.ConsumerGroup(options.Group), kgo.ConsumeTopics(options.Topic), kgo.Balancers(balancer),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, assigned map[string][]int32) {
			options.OnAssigned(assigned[options.Topic])
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, client *kgo.Client, revoked map[string][]int32) {
			m.left = errors.Join(m.left, client.CommitUncommittedOffsets(ctx))
			options.OnRevoked(revoked[options.Topic])
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
			options.OnRevoked(lost[options.Topic])
		}),
	}
	if options.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(options.InstanceID))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	m.client, m.stop = client, stop
	go func() { m.over <- m.poll(ctx, options.OnRecord) }()
	return m, nil
}

func (m *member) poll(ctx context.Context, onRecord func(driver.Record)) error {
	for {
		fetches := m.client.PollFetches(ctx)
		if ctx.Err() != nil {
			m.client.AllowRebalance()
			return nil
		}
		// Losing the group, with its coordinator, is told this way, too; the client joins again by itself.
		if lost := (*kgo.ErrGroupSession)(nil); errors.As(fetches.Err(), &lost) {
			m.client.AllowRebalance()
			continue
		}
		if err := fetches.Err(); err != nil {
			m.client.AllowRebalance()
			return fmt.Errorf("poll: %w", err)
		}
		fetches.EachRecord(func(r *kgo.Record) { onRecord(fromKgo(r)) })
		m.client.AllowRebalance()
	}
}

func (m *member) Commit(ctx context.Context) error {
	if err := m.client.CommitUncommittedOffsets(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func (m *member) Close() error {
	m.stop()
	err := <-m.over
	m.client.CloseAllowingRebalance()
	return errors.Join(err, m.left)
}
