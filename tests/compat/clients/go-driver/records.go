package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const step = 100 * time.Millisecond // between the times of two records

// numbered makes records with keys that repeat, values that compress and times that grow.
func numbered(count int) []Record {
	start := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	records := make([]Record, count)
	for i := range records {
		records[i] = Record{
			Key:   fmt.Appendf(nil, "key-%d", i%37),
			Value: fmt.Appendf(nil, "record %d says %d times nothing new", i, i),
			Time:  start.Add(time.Duration(i) * step),
		}
	}
	return records
}

// produce sends records in order and gives them back with their places.
func (r *run) produce(ctx context.Context, topic string, options ProducerOptions, records []Record) ([]Record, error) {
	producer, err := r.library.NewProducer(topic, options)
	if err != nil {
		return nil, fmt.Errorf("start a producer: %w", err)
	}
	sent, err := sendAll(ctx, producer, records)
	return sent, errors.Join(err, producer.Close())
}

func sendAll(ctx context.Context, producer Producer, records []Record) ([]Record, error) {
	sent := make([]Record, len(records))
	var left sync.WaitGroup
	var failed failure
	left.Add(len(records))
	for i, record := range records {
		producer.Send(record, func(placed Record, err error) {
			sent[i] = placed
			failed.set(err)
			left.Done()
		})
	}
	if err := within(ctx, "every record is acknowledged", left.Wait); err != nil {
		return nil, err
	}
	return sent, failed.get()
}

// failure keeps the first error of several goroutines.
type failure struct {
	lock sync.Mutex
	err  error
}

func (f *failure) set(err error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *failure) get() error {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.err
}

// within runs something that knows no context.
func within(ctx context.Context, what string, wait func()) error {
	over := make(chan struct{})
	go func() { wait(); close(over) }()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("in vain awaited: %s", what)
	}
}

// read gives the first records of a topic's partitions 0 to partitions-1.
func (r *run) read(ctx context.Context, topic string, partitions, count int) ([]Record, error) {
	var records []Record
	err := r.library.Consume(ctx, topic, upTo(partitions), Earliest, func(record Record) bool {
		records = append(records, record)
		return len(records) < count
	})
	if err == nil && len(records) < count {
		err = fmt.Errorf("%d records of %d were read", len(records), count)
	}
	return records, err
}

func upTo(n int) []int32 {
	all := make([]int32, n)
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

type place struct {
	partition int32
	offset    int64
}

func placeOf(r Record) place { return place{r.Partition, r.Offset} }

// inOrder says where records of one partition do not come in the order of their offsets.
func inOrder(records []Record) error {
	next := map[int32]int64{}
	for _, r := range records {
		if r.Offset < next[r.Partition] {
			return fmt.Errorf("partition %d: offset %d after %d", r.Partition, r.Offset, next[r.Partition]-1)
		}
		next[r.Partition] = r.Offset + 1
	}
	return nil
}

// sameRecords says how what was read differs from what was sent: each once, equal, and in order in its partition.
func sameRecords(sent, got []Record) error {
	if err := errors.Join(inOrder(sent), inOrder(got)); err != nil {
		return err
	}
	want := make(map[place]Record, len(sent))
	for _, s := range sent {
		want[placeOf(s)] = s
	}
	for _, g := range got {
		s, known := want[placeOf(g)]
		if !known {
			return fmt.Errorf("read what was not sent, or read it twice: %v %q", placeOf(g), g.Value)
		}
		delete(want, placeOf(g))
		if err := sameRecord(s, g); err != nil {
			return fmt.Errorf("at %v: %w", placeOf(g), err)
		}
	}
	if len(want) > 0 {
		return fmt.Errorf("%d records of %d were not read", len(want), len(sent))
	}
	return nil
}

func sameRecord(sent, got Record) error {
	switch {
	case !sameBytes(sent.Key, got.Key):
		return fmt.Errorf("key %s became %s", show(sent.Key), show(got.Key))
	case !sameBytes(sent.Value, got.Value):
		return fmt.Errorf("value %s became %s", show(sent.Value), show(got.Value))
	case !sent.Time.IsZero() && !sent.Time.Equal(got.Time):
		return fmt.Errorf("time %s became %s", sent.Time, got.Time)
	case len(sent.Headers) != len(got.Headers):
		return fmt.Errorf("%d headers became %d", len(sent.Headers), len(got.Headers))
	}
	for i, s := range sent.Headers {
		if g := got.Headers[i]; s.Key != g.Key || !sameBytes(s.Value, g.Value) {
			return fmt.Errorf("header %q: %s became %q: %s", s.Key, show(s.Value), g.Key, show(g.Value))
		}
	}
	return nil
}

func sameBytes(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func show(b []byte) string {
	switch {
	case b == nil:
		return "null"
	case len(b) > 40:
		return fmt.Sprintf("%q... (%d bytes)", b[:40], len(b))
	default:
		return fmt.Sprintf("%q", b)
	}
}
