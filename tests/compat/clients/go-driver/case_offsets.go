package driver

import (
	"context"
	"fmt"
	"time"
)

// offsets: 300 records, asked for and read from everywhere.
func (r *run) offsets(ctx context.Context) error {
	topic := r.env.Name("offsets")
	if err := r.library.CreateTopic(ctx, topic, 1, nil); err != nil {
		return err
	}
	// Not every broker knows yet that it leads a topic that has just come into being.
	var last error
	what := func() string { return fmt.Sprintf("the end of an empty topic: %v", last) }
	isEmpty := func() bool { last = r.offsetIs(ctx, topic, Latest, 0); return last == nil }
	if err := await(ctx, what, isEmpty); err != nil {
		return err
	}
	records := numbered(300)
	if _, err := r.produce(ctx, topic, ProducerOptions{}, records); err != nil {
		return err
	}
	for at, want := range map[int64]int64{Earliest: 0, Latest: 300} {
		if err := r.offsetIs(ctx, topic, at, want); err != nil {
			return err
		}
	}
	if err := r.offsetsByTime(ctx, topic, records[0].Time); err != nil {
		return err
	}
	for _, from := range []int64{Earliest, 0, 120, 299} {
		if err := r.startsAt(ctx, topic, from, max(from, 0)); err != nil {
			return err
		}
	}
	return r.latestIsNew(ctx, topic, 300)
}

func (r *run) offsetIs(ctx context.Context, topic string, at, want int64) error {
	got, err := r.library.OffsetAt(ctx, topic, 0, at)
	if err == nil && got != want {
		err = fmt.Errorf("the offset at %d is %d, not %d", at, got, want)
	}
	return err
}

func (r *run) offsetsByTime(ctx context.Context, topic string, start time.Time) error {
	for _, c := range []struct {
		at   time.Duration
		want int64
	}{{-time.Minute, 0}, {0, 0}, {149 * step, 149}, {149*step + time.Millisecond, 150}, {299 * step, 299}} {
		got, err := r.library.OffsetAfter(ctx, topic, 0, start.Add(c.at))
		if err != nil {
			return err
		}
		if got != c.want {
			return fmt.Errorf("%s after the start is offset %d, not %d", c.at, got, c.want)
		}
		if err := r.startsAt(ctx, topic, got, c.want); err != nil {
			return err
		}
	}
	got, err := r.library.OffsetAfter(ctx, topic, 0, start.Add(300*step))
	if err == nil && got != 300 && got != -1 {
		err = fmt.Errorf("a time after the last record is offset %d", got)
	}
	return err
}

func (r *run) startsAt(ctx context.Context, topic string, from, want int64) error {
	first := int64(-1)
	err := r.library.Consume(ctx, topic, []int32{0}, from, func(record Record) bool {
		first = record.Offset
		return false
	})
	if err == nil && first != want {
		err = fmt.Errorf("a consumer that starts at %d reads %d first, not %d", from, first, want)
	}
	return err
}

// latestIsNew: a consumer that starts at the latest offset reads nothing that was there before it started. When it has
// started is not to be seen, so records are sent until it reads one.
func (r *run) latestIsNew(ctx context.Context, topic string, end int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var first int64
	over := make(chan error, 1)
	go func() {
		over <- r.library.Consume(ctx, topic, []int32{0}, Latest, func(record Record) bool {
			first = record.Offset
			return false
		})
	}()
	for {
		if _, err := r.produce(ctx, topic, ProducerOptions{}, numbered(1)); err != nil {
			return err
		}
		select {
		case err := <-over:
			if err == nil && first < end {
				err = fmt.Errorf("a consumer that starts at the latest offset, %d or more, reads %d", end, first)
			}
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}
