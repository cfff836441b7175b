// The cases of the client matrix, run through franz-go: its producer and consumer (kgo) and its admin client (kadm).
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"skiff.test/driver"
)

type library struct {
	seeds kgo.Opt
	admin *kadm.Client
}

func main() {
	driver.Main("github.com/twmb/franz-go", func(env *driver.Env) (driver.Library, error) {
		seeds := kgo.SeedBrokers(env.Bootstrap...)
		client, err := kgo.NewClient(seeds)
		return &library{seeds, kadm.NewClient(client)}, err
	})
}

func (l *library) CreateTopic(ctx context.Context, topic string, partitions int, configs map[string]string) error {
	_, err := l.admin.CreateTopic(ctx, int32(partitions), 3, pointers(configs), topic)
	return err
}

func pointers(texts map[string]string) map[string]*string {
	all := make(map[string]*string, len(texts))
	for key, text := range texts {
		all[key] = kadm.StringPtr(text)
	}
	return all
}

func (l *library) Partitions(ctx context.Context, topic string) (int, error) {
	topics, err := l.admin.ListTopicsWithInternal(ctx, topic)
	return len(topics[topic].Partitions), errors.Join(err, topics.Error())
}

var codecs = map[string]kgo.CompressionCodec{
	"": kgo.NoCompression(), "none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// By the number in the attributes of a batch.
var codecNames = []string{"none", "gzip", "snappy", "lz4", "zstd"}

type producer struct {
	client *kgo.Client
	topic  string
}

func (l *library) NewProducer(topic string, options driver.ProducerOptions) (driver.Producer, error) {
	opts := []kgo.Opt{l.seeds, kgo.ProducerBatchCompression(codecs[options.Codec])}
	if !options.Idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	}
	if options.Explicit {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	if options.BytesMax > 0 {
		opts = append(opts, kgo.ProducerBatchMaxBytes(int32(options.BytesMax)))
	}
	client, err := kgo.NewClient(opts...)
	return &producer{client, topic}, err
}

func (p *producer) Send(record driver.Record, done func(driver.Record, error)) {
	r := &kgo.Record{Topic: p.topic, Partition: record.Partition, Key: record.Key, Value: record.Value, Timestamp: record.Time}
	for _, h := range record.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	p.client.Produce(context.Background(), r, func(r *kgo.Record, err error) {
		record.Partition, record.Offset = r.Partition, r.Offset
		done(record, err)
	})
}

func (p *producer) Close() error {
	defer p.client.Close()
	return p.client.Flush(context.Background())
}

func fromKgo(r *kgo.Record) driver.Record {
	record := driver.Record{
		Key: r.Key, Value: r.Value, Time: r.Timestamp, Partition: r.Partition, Offset: r.Offset,
		Codec: codecNames[r.Attrs.CompressionType()],
	}
	for _, h := range r.Headers {
		record.Headers = append(record.Headers, driver.Header{Key: h.Key, Value: h.Value})
	}
	return record
}

func (l *library) Consume(ctx context.Context, topic string, partitions []int32, from int64, each func(driver.Record) bool) error {
	start := kgo.NewOffset().At(from)
	offsets := map[int32]kgo.Offset{}
	for _, p := range partitions {
		offsets[p] = start
	}
	client, err := kgo.NewClient(l.seeds, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}))
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for records := fetches.RecordIter(); !records.Done(); {
			if !each(fromKgo(records.Next())) {
				return nil
			}
		}
	}
}

func (l *library) OffsetAt(ctx context.Context, topic string, partition int32, at int64) (int64, error) {
	if at == driver.Earliest {
		return offsetOf(topic, partition)(l.admin.ListStartOffsets(ctx, topic))
	}
	return offsetOf(topic, partition)(l.admin.ListEndOffsets(ctx, topic))
}

func (l *library) OffsetAfter(ctx context.Context, topic string, partition int32, at time.Time) (int64, error) {
	return offsetOf(topic, partition)(l.admin.ListOffsetsAfterMilli(ctx, at.UnixMilli(), topic))
}

func offsetOf(topic string, partition int32) func(kadm.ListedOffsets, error) (int64, error) {
	return func(listed kadm.ListedOffsets, err error) (int64, error) {
		if err != nil {
			return 0, err
		}
		found, known := listed.Lookup(topic, partition)
		if !known {
			return 0, fmt.Errorf("no offset of %s-%d in the answer", topic, partition)
		}
		return found.Offset, found.Err
	}
}

// Committed asks with a client of its own: one that knows a coordinator goes on dialing it when it is dead.
func (l *library) Committed(ctx context.Context, group, topic string) (map[int32]int64, error) {
	admin, err := kadm.NewOptClient(l.seeds)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	fetched, err := admin.FetchOffsets(ctx, group)
	if err = errors.Join(err, fetched.Error()); err != nil {
		return nil, err
	}
	offsets := map[int32]int64{}
	for partition, offset := range fetched[topic] {
		offsets[partition] = offset.At
	}
	return offsets, nil
}

// PartitionOf: franz-go follows the Java client.
func (l *library) PartitionOf(key []byte, partitions int) int32 {
	return driver.JavaPartition(key, partitions)
}

func (l *library) InitTransactions(ctx context.Context, id string) error {
	client, err := kgo.NewClient(l.seeds, kgo.TransactionalID(id))
	if err != nil {
		return err
	}
	defer client.Close()
	if _, _, err := client.ProducerID(ctx); err != nil {
		return err
	}
	return client.BeginTransaction()
}

func (l *library) IsTooLarge(err error) bool { return errors.Is(err, kerr.MessageTooLarge) }
