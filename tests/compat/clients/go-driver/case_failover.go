package driver

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf16"
)

// coordinatorPartition is the partition of __consumer_offsets that has a group: Java's hash of its name decides.
func coordinatorPartition(group string, partitions int) int32 {
	var hash int32
	for _, unit := range utf16.Encode([]rune(group)) {
		hash = 31*hash + int32(unit)
	}
	return (hash & 0x7fffffff) % int32(partitions)
}

// groupKilled: the coordinator of a group dies while two members read and commit. They may read records again, but none that
// was committed before, and go on committing.
func (r *run) groupKilled(ctx context.Context) error {
	c, err := r.newCrew(ctx, "coordinator", false)
	if err != nil {
		return err
	}
	first, err := c.join("first", "")
	if err != nil {
		return err
	}
	second, err := c.join("second", "")
	if err == nil {
		err = errors.Join(r.throughDeath(ctx, c, first, second), second.Close())
	}
	return errors.Join(err, first.Close())
}

func (r *run) throughDeath(ctx context.Context, c *crew, members ...Member) error {
	s := r.startStream(ctx, c.topic)
	err := errors.Join(c.shared(ctx, map[string]int{"first": 2, "second": 2}), c.readsOn(ctx, 400), commitAll(ctx, members))
	kept, committed := r.library.Committed(ctx, c.group, c.topic)
	if err = errors.Join(err, committed); err == nil {
		err = r.killCoordinator(ctx, c.group)
	}
	if err == nil {
		err = c.readsOn(ctx, 1000)
	}
	sent, streamed := s.end()
	if err = errors.Join(err, streamed); err != nil {
		return err
	}
	if err := c.completeAgain(ctx, sent, kept); err != nil {
		return err
	}
	var commits, offsets error
	return await(ctx, func() string { return fmt.Sprintf("the group commits what it has read (%v; %v)", commits, offsets) }, func() bool {
		commits, offsets = commitAll(ctx, members), c.committed(ctx, sent)
		return offsets == nil
	})
}

func commitAll(ctx context.Context, members []Member) error {
	var err error
	for _, m := range members {
		err = errors.Join(err, m.Commit(ctx))
	}
	return err
}

func (r *run) killCoordinator(ctx context.Context, group string) error {
	const topic = "__consumer_offsets"
	partitions, err := r.library.Partitions(ctx, topic)
	if err != nil {
		return err
	}
	return r.env.KillLeader(ctx, topic, coordinatorPartition(group, partitions))
}

const (
	failoverRecords    = 20_000
	failoverPartitions = 3
	failoverKillAfter  = failoverRecords / 4
	failoverQueued     = 2_000                // so many are on their way at most
	failoverPace       = 2 * time.Millisecond // between records while the kill is on its way, so that it meets a stream
)

// leaderKilled: the leader of a partition dies in the middle of a stream. Every record is acknowledged in the end, and read once.
func (r *run) leaderKilled(ctx context.Context) error {
	topic := r.env.Name("failover")
	err := r.library.CreateTopic(ctx, topic, failoverPartitions, map[string]string{"min.insync.replicas": "2"})
	if err != nil {
		return err
	}
	var got []Record
	reader := make(chan error, 1)
	go func() {
		reader <- r.library.Consume(ctx, topic, upTo(failoverPartitions), Earliest, func(record Record) bool {
			got = append(got, record)
			return len(got) < failoverRecords
		})
	}()
	sent, err := r.sendThroughDeath(ctx, topic)
	if err != nil {
		return err
	}
	if err := <-reader; err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if len(got) < failoverRecords {
		return fmt.Errorf("%d records were acknowledged, %d read", len(sent), len(got))
	}
	return errors.Join(sameRecords(sent, got), r.holds(ctx, topic, failoverPartitions, failoverRecords))
}

func (r *run) sendThroughDeath(ctx context.Context, topic string) ([]Record, error) {
	producer, err := r.library.NewProducer(topic, ProducerOptions{Idempotent: true})
	if err != nil {
		return nil, err
	}
	records := numbered(failoverRecords)
	sent := make([]Record, len(records))
	slots := make(chan struct{}, failoverQueued)
	var failed failure
	kill := death{over: make(chan error, 1)}
	for i, record := range records {
		if i == failoverKillAfter {
			go func() { kill.over <- r.env.KillLeader(ctx, topic, 0) }()
		}
		if err := kill.pace(i); err != nil {
			return nil, err
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("only %d records could be sent", i), failed.get())
		}
		producer.Send(record, func(placed Record, err error) {
			sent[i] = placed
			failed.set(err)
			<-slots
		})
	}
	if !kill.done {
		return nil, errors.New("the stream was over before the leader was killed")
	}
	err = within(ctx, "the last records are acknowledged", func() {
		for range failoverQueued {
			slots <- struct{}{}
		}
	})
	return sent, errors.Join(err, failed.get(), producer.Close())
}

type death struct {
	over chan error
	done bool
}

// pace slows the stream down from when the kill was ordered until it has happened.
func (d *death) pace(i int) error {
	if i < failoverKillAfter || d.done {
		return nil
	}
	select {
	case err := <-d.over:
		d.done = true
		return err
	case <-time.After(failoverPace):
		return nil
	}
}
