package driver

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"time"
)

// roundTrip sends records to a new topic, reads them, and gives back what was read.
func (r *run) roundTrip(ctx context.Context, name string, partitions int, options ProducerOptions, records []Record) ([]Record, error) {
	topic := r.env.Name(name)
	if err := r.library.CreateTopic(ctx, topic, partitions, nil); err != nil {
		return nil, err
	}
	sent, err := r.produce(ctx, topic, options, records)
	if err != nil {
		return nil, err
	}
	got, err := r.read(ctx, topic, partitions, len(records))
	if err != nil {
		return nil, err
	}
	return got, errors.Join(sameRecords(sent, got), r.holds(ctx, topic, partitions, len(records)))
}

// holds checks by its offsets how many records a topic has.
func (r *run) holds(ctx context.Context, topic string, partitions, count int) error {
	var total int64
	for p := range int32(partitions) {
		end, err := r.library.OffsetAt(ctx, topic, p, Latest)
		if err != nil {
			return err
		}
		total += end
	}
	if total != int64(count) {
		return fmt.Errorf("%d records were sent, the partitions end at %d in all", count, total)
	}
	return nil
}

func codec(name string) func(*run, context.Context) error {
	return func(r *run, ctx context.Context) error {
		got, err := r.roundTrip(ctx, "codec-"+name, 3, ProducerOptions{Codec: name}, numbered(1000))
		if err != nil {
			return err
		}
		for _, record := range got {
			if record.Codec != "" && record.Codec != name {
				return fmt.Errorf("the batch at %v is %s", placeOf(record), record.Codec)
			}
		}
		return nil
	}
}

func (r *run) idempotence(ctx context.Context) error {
	_, err := r.roundTrip(ctx, "idempotence", 3, ProducerOptions{Idempotent: true}, numbered(5000))
	return err
}

func (r *run) headers(ctx context.Context) error {
	record := Record{Key: []byte("k"), Value: []byte("v"), Headers: []Header{
		{"one", []byte("1")}, {"twice", []byte("first")}, {"none", nil}, {"twice", []byte("second")}, {"empty", []byte{}},
		{"", []byte("no name")}, {"ünïcode", []byte{0, 0xff, 0x80}},
	}}
	_, err := r.roundTrip(ctx, "headers", 1, ProducerOptions{}, []Record{record, {Value: []byte("without")}})
	return err
}

func (r *run) nullKeyValue(ctx context.Context) error {
	text, empty := []byte("text"), []byte{}
	_, err := r.roundTrip(ctx, "nulls", 1, ProducerOptions{}, []Record{
		{Key: nil, Value: text}, {Key: text, Value: nil}, {Key: text, Value: empty}, {Key: empty, Value: text},
		{Key: nil, Value: nil}, {Key: empty, Value: empty},
	})
	return err
}

const (
	bigBytes      = 900 << 10
	tooBigBytes   = 2 << 20
	clientMax     = 8 << 20 // what the clients would send
	brokerDefault = "1048588"
	brokerRaised  = "4194304"
)

func (r *run) bigRecord(ctx context.Context) error {
	options := ProducerOptions{BytesMax: clientMax}
	for _, limit := range []string{brokerDefault, brokerRaised} {
		topic := r.env.Name("big-" + limit)
		if err := r.library.CreateTopic(ctx, topic, 1, map[string]string{"max.message.bytes": limit}); err != nil {
			return err
		}
		sent, err := r.produce(ctx, topic, options, []Record{noise(bigBytes)})
		if err != nil {
			return fmt.Errorf("%d bytes with max.message.bytes=%s: %w", bigBytes, limit, err)
		}
		more, err := r.produce(ctx, topic, options, []Record{noise(tooBigBytes)})
		switch {
		case limit == brokerDefault && err == nil:
			return fmt.Errorf("%d bytes with max.message.bytes=%s were taken", tooBigBytes, limit)
		case limit == brokerDefault && !r.library.IsTooLarge(err):
			return fmt.Errorf("%d bytes with max.message.bytes=%s: not said to be too large, but: %w", tooBigBytes, limit, err)
		case limit == brokerRaised && err != nil:
			return fmt.Errorf("%d bytes with max.message.bytes=%s: %w", tooBigBytes, limit, err)
		case limit == brokerRaised:
			sent = append(sent, more...)
		}
		got, err := r.read(ctx, topic, 1, len(sent))
		if err = errors.Join(err, sameRecords(sent, got)); err != nil {
			return err
		}
	}
	return nil
}

// noise is a record that no codec makes smaller.
func noise(size int) Record {
	value := make([]byte, size)
	source := rand.New(rand.NewSource(int64(size)))
	for i := range value {
		value[i] = byte(source.Intn(256))
	}
	return Record{Key: []byte("big"), Value: value}
}

func (r *run) partitioner(ctx context.Context) error {
	const partitions = 7
	topic := r.env.Name("partitioner")
	if err := r.library.CreateTopic(ctx, topic, partitions, nil); err != nil {
		return err
	}
	keyed, err := r.produce(ctx, topic, ProducerOptions{}, numbered(100))
	if err != nil {
		return err
	}
	for _, record := range keyed {
		if want := r.library.PartitionOf(record.Key, partitions); record.Partition != want {
			return fmt.Errorf("key %s went to partition %d, not to %d", show(record.Key), record.Partition, want)
		}
	}
	records := numbered(70)
	for i := range records {
		records[i].Partition = int32(i * 3 % partitions)
	}
	explicit, err := r.produce(ctx, topic, ProducerOptions{Explicit: true}, records)
	if err != nil {
		return err
	}
	for i, record := range explicit {
		if record.Partition != records[i].Partition {
			return fmt.Errorf("what was meant for partition %d went to %d", records[i].Partition, record.Partition)
		}
	}
	got, err := r.read(ctx, topic, partitions, len(keyed)+len(explicit))
	return errors.Join(err, sameRecords(append(keyed, explicit...), got))
}

func (r *run) txnRefused(ctx context.Context) error {
	const soon = 30 * time.Second
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	start := time.Now()
	err := r.library.InitTransactions(ctx, r.env.Name("txn"))
	switch {
	case err == nil:
		return Skip("this cluster serves transactions")
	case ctx.Err() != nil:
		return fmt.Errorf("no answer within %s, but: %w", soon, err)
	default:
		return note(fmt.Sprintf("after %.0f s: %v", time.Since(start).Seconds(), err))
	}
}
