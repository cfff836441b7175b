package driver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

const groupPartitions = 4

// crew watches the members of one group: who has which partitions, and what was read by all of them together.
type crew struct {
	run          *run
	group, topic string
	cooperative  bool

	lock sync.Mutex
	has  map[string]map[int32]bool
	lost map[string]int // partitions that were taken from a member, all in all
	read []Record
}

func (r *run) newCrew(ctx context.Context, name string, cooperative bool) (*crew, error) {
	c := &crew{
		run: r, group: r.env.Name(name + "-group"), topic: r.env.Name(name), cooperative: cooperative,
		has: map[string]map[int32]bool{}, lost: map[string]int{},
	}
	return c, r.library.CreateTopic(ctx, c.topic, groupPartitions, map[string]string{"min.insync.replicas": "2"})
}

func (c *crew) join(name, instanceID string) (Member, error) {
	c.lock.Lock()
	c.has[name] = map[int32]bool{}
	c.lock.Unlock()
	return c.run.library.NewMember(MemberOptions{
		Group: c.group, Topic: c.topic, Cooperative: c.cooperative, InstanceID: instanceID,
		OnAssigned: func(partitions []int32) {
			c.lock.Lock()
			defer c.lock.Unlock()
			for _, p := range partitions {
				c.has[name][p] = true
			}
		},
		OnRevoked: func(partitions []int32) {
			c.lock.Lock()
			defer c.lock.Unlock()
			c.lost[name] += len(partitions)
			for _, p := range partitions {
				delete(c.has[name], p)
			}
		},
		OnRecord: func(record Record) {
			c.lock.Lock()
			defer c.lock.Unlock()
			c.read = append(c.read, record)
		},
	})
}

func (c *crew) partitions(name string) []int32 {
	c.lock.Lock()
	defer c.lock.Unlock()
	return slices.Sorted(maps.Keys(c.has[name]))
}

func (c *crew) lostBy(name string) int {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.lost[name]
}

func (c *crew) readCount() int {
	c.lock.Lock()
	defer c.lock.Unlock()
	return len(c.read)
}

// shared waits until the members have so many partitions each.
func (c *crew) shared(ctx context.Context, counts map[string]int) error {
	return await(ctx, func() string {
		c.lock.Lock()
		defer c.lock.Unlock()
		return fmt.Sprintf("members have %v partitions; they have %v", counts, c.has)
	}, func() bool {
		for name, count := range counts {
			if len(c.partitions(name)) != count {
				return false
			}
		}
		return true
	})
}

// readsOn waits for more records.
func (c *crew) readsOn(ctx context.Context, count int) error {
	goal := c.readCount() + count
	return await(ctx, func() string { return fmt.Sprintf("%d records are read; %d were", goal, c.readCount()) },
		func() bool { return c.readCount() >= goal })
}

// complete waits until all that was sent is read, and says whether something was read twice or out of order.
func (c *crew) complete(ctx context.Context, sent []Record) error {
	err := await(ctx, func() string { return fmt.Sprintf("%d records are read; %d were", len(sent), c.readCount()) },
		func() bool { return c.readCount() >= len(sent) })
	c.lock.Lock()
	defer c.lock.Unlock()
	return errors.Join(err, sameRecords(sent, c.read))
}

// completeAgain is complete for members that may read again what they had not committed: nothing below the offsets in kept.
func (c *crew) completeAgain(ctx context.Context, sent []Record, kept map[int32]int64) error {
	var once []Record
	seen := map[place]bool{}
	take := func() (all bool, err error) {
		c.lock.Lock()
		defer c.lock.Unlock()
		for _, record := range c.read {
			if again := seen[placeOf(record)]; again && record.Offset < kept[record.Partition] {
				return false, fmt.Errorf("%v was read again, and %d had been committed", placeOf(record), kept[record.Partition])
			} else if !again {
				once = append(once, record)
			}
			seen[placeOf(record)] = true
		}
		c.read = nil
		return len(once) >= len(sent), nil
	}
	var taken error
	err := await(ctx, func() string { return fmt.Sprintf("%d records are read; %d were", len(sent), len(once)) }, func() bool {
		all, err := take()
		taken = err
		return all || err != nil
	})
	return errors.Join(err, taken, sameRecords(sent, once))
}

// committed says where the group's offsets are not the ends of what was sent.
func (c *crew) committed(ctx context.Context, sent []Record) error {
	ends := map[int32]int64{}
	for _, s := range sent {
		ends[s.Partition] = max(ends[s.Partition], s.Offset+1)
	}
	offsets, err := c.run.library.Committed(ctx, c.group, c.topic)
	if err == nil && !maps.Equal(offsets, ends) {
		err = fmt.Errorf("the group's offsets are %v, the partitions end at %v", offsets, ends)
	}
	return err
}

// stream sends records, some at a time, until it is told to stop.
type stream struct {
	stop chan struct{}
	over chan error
	sent []Record
}

func (r *run) startStream(ctx context.Context, topic string) *stream {
	s := &stream{stop: make(chan struct{}), over: make(chan error, 1)}
	go func() { s.over <- s.send(ctx, r, topic) }()
	return s
}

func (s *stream) send(ctx context.Context, r *run, topic string) error {
	producer, err := r.library.NewProducer(topic, ProducerOptions{Idempotent: true})
	if err != nil {
		return err
	}
	const together = 40
	for {
		placed, err := sendAll(ctx, producer, numbered(together))
		if err != nil {
			return err
		}
		s.sent = append(s.sent, placed...)
		select {
		case <-s.stop:
			return producer.Close()
		case <-time.After(50 * time.Millisecond): // the pace, 800 records a second at most
		}
	}
}

// end stops and gives what was sent.
func (s *stream) end() ([]Record, error) {
	close(s.stop)
	err := <-s.over
	return s.sent, err
}

// group: one member, two that share, one again, one that comes later, while records are sent all the time.
func (r *run) group(ctx context.Context) error {
	c, err := r.newCrew(ctx, "group", false)
	if err != nil {
		return err
	}
	return r.sharing(ctx, c)
}

func (r *run) groupCooperative(ctx context.Context) error {
	c, err := r.newCrew(ctx, "cooperative", true)
	if err != nil {
		return err
	}
	if err := r.sharing(ctx, c); err != nil {
		return err
	}
	// All four went through the first member's hands once it was alone again: it gave up two when the second came, four in the end.
	if lost := c.lostBy("first"); lost != 2+groupPartitions {
		return fmt.Errorf("%d partitions were taken from the first member, not 2 and in the end 4: it did not keep what it had", lost)
	}
	return nil
}

func (r *run) sharing(ctx context.Context, c *crew) error {
	first, err := c.join("first", "")
	if err != nil {
		return err
	}
	s := r.startStream(ctx, c.topic)
	second, err := Member(nil), errors.Join(c.shared(ctx, map[string]int{"first": 4}), c.readsOn(ctx, 400))
	if err == nil {
		second, err = c.join("second", "")
	}
	if err == nil {
		err = errors.Join(c.shared(ctx, map[string]int{"first": 2, "second": 2}), c.readsOn(ctx, 400))
	}
	if err == nil {
		err = errors.Join(second.Close(), c.shared(ctx, map[string]int{"first": 4}), c.readsOn(ctx, 400), first.Commit(ctx))
	}
	err = errors.Join(err, first.Close())
	sent, streamed := s.end()
	if err = errors.Join(err, streamed); err != nil {
		return err
	}
	third, err := c.join("third", "")
	if err != nil {
		return err
	}
	return errors.Join(c.complete(ctx, sent), third.Close(), c.committed(ctx, sent))
}

// groupStatic: a static member that goes and comes back finds its partitions, and the other one notices nothing.
func (r *run) groupStatic(ctx context.Context) error {
	c, err := r.newCrew(ctx, "static", false)
	if err != nil {
		return err
	}
	stays, err := c.join("stays", "instance-1")
	if err != nil {
		return err
	}
	goes, err := c.join("goes", "instance-2")
	if err == nil {
		err = c.shared(ctx, map[string]int{"stays": 2, "goes": 2})
	}
	if err != nil {
		return errors.Join(err, stays.Close())
	}
	had, lost := c.partitions("goes"), c.lostBy("stays")
	if err := goes.Close(); err != nil {
		return errors.Join(err, stays.Close())
	}
	back, err := c.join("back", "instance-2")
	if err != nil {
		return errors.Join(err, stays.Close())
	}
	err = c.shared(ctx, map[string]int{"back": 2, "stays": 2})
	has, lostNow := c.partitions("back"), c.lostBy("stays")
	err = errors.Join(err, back.Close(), stays.Close())
	switch {
	case err != nil:
		return err
	case lostNow != lost:
		return errors.New("the other member was part of a rebalance")
	case !slices.Equal(had, has):
		return fmt.Errorf("it had partitions %v, and has %v when it is back", had, has)
	}
	return nil
}
