package main

import (
	"context"
	"sync"

	"github.com/IBM/sarama"
	"skiff.test/driver"
)

var codecs = map[string]sarama.CompressionCodec{
	"": sarama.CompressionNone, "none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

type producer struct {
	sarama.AsyncProducer
	topic     string
	answering sync.WaitGroup
}

// What comes back with a message.
type sending struct {
	record driver.Record
	done   func(driver.Record, error)
}

func (l *library) NewProducer(topic string, options driver.ProducerOptions) (driver.Producer, error) {
	c := config()
	c.Producer.Compression = codecs[options.Codec]
	c.Producer.Idempotent = options.Idempotent
	c.Net.MaxOpenRequests = 1 // else its retries change the order; idempotence asks for it, too
	if options.Explicit {
		c.Producer.Partitioner = sarama.NewManualPartitioner
	}
	if options.BytesMax > 0 {
		c.Producer.MaxMessageBytes = options.BytesMax
	}
	async, err := sarama.NewAsyncProducer(l.bootstrap, c)
	if err != nil {
		return nil, err
	}
	p := &producer{AsyncProducer: async, topic: topic}
	p.answering.Add(2)
	go func() {
		defer p.answering.Done()
		for m := range p.Successes() {
			answer(m, nil)
		}
	}()
	go func() {
		defer p.answering.Done()
		for e := range p.Errors() {
			answer(e.Msg, e.Err)
		}
	}()
	return p, nil
}

func answer(m *sarama.ProducerMessage, err error) {
	s := m.Metadata.(sending)
	s.record.Partition, s.record.Offset = m.Partition, m.Offset
	s.done(s.record, err)
}

func (p *producer) Send(record driver.Record, done func(driver.Record, error)) {
	m := &sarama.ProducerMessage{Topic: p.topic, Partition: record.Partition, Timestamp: record.Time, Metadata: sending{record, done}}
	if record.Key != nil {
		m.Key = sarama.ByteEncoder(record.Key)
	}
	if record.Value != nil {
		m.Value = sarama.ByteEncoder(record.Value)
	}
	for _, h := range record.Headers {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
	}
	p.Input() <- m
}

func (p *producer) Close() error {
	p.AsyncClose()
	p.answering.Wait()
	return nil
}

func fromSarama(m *sarama.ConsumerMessage) driver.Record {
	record := driver.Record{Key: m.Key, Value: m.Value, Time: m.Timestamp, Partition: m.Partition, Offset: m.Offset}
	for _, h := range m.Headers {
		record.Headers = append(record.Headers, driver.Header{Key: string(h.Key), Value: h.Value})
	}
	return record
}

func (l *library) Consume(ctx context.Context, topic string, partitions []int32, from int64, each func(driver.Record) bool) error {
	consumer, err := sarama.NewConsumer(l.bootstrap, config())
	if err != nil {
		return err
	}
	defer consumer.Close()
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	r := reader{each: each, enough: enough}
	for _, partition := range partitions {
		part, err := consumer.ConsumePartition(topic, partition, from)
		if err != nil {
			return err
		}
		defer part.Close()
		r.parts.Go(func() { r.read(ctx, part) })
	}
	r.parts.Wait()
	return r.ended(ctx)
}

// reader makes one stream of the partitions'.
type reader struct {
	parts  sync.WaitGroup
	lock   sync.Mutex
	each   func(driver.Record) bool
	enough context.CancelFunc
	over   bool
}

func (r *reader) read(ctx context.Context, part sarama.PartitionConsumer) {
	for {
		select {
		case m := <-part.Messages():
			r.pass(m)
		case e := <-part.Errors():
			sarama.Logger.Print(e) // it tries again by itself
		case <-ctx.Done():
			return
		}
	}
}

func (r *reader) pass(m *sarama.ConsumerMessage) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if !r.over && !r.each(fromSarama(m)) {
		r.over = true
		r.enough()
	}
}

// ended: with an error when it was not each that ended it.
func (r *reader) ended(ctx context.Context) error {
	if r.over {
		return nil
	}
	return ctx.Err()
}
