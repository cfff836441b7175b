// The cases of the client matrix, run through sarama: its asynchronous producer, its consumers and its admin client.
package main

import (
	"context"
	"errors"
	"hash/fnv"
	"time"

	"github.com/IBM/sarama"
	"skiff.test/driver"
)

type library struct {
	bootstrap []string
	client    sarama.Client
	admin     sarama.ClusterAdmin
}

func main() {
	driver.Main("github.com/IBM/sarama", func(env *driver.Env) (driver.Library, error) {
		client, err := sarama.NewClient(env.Bootstrap, config())
		if err != nil {
			return nil, err
		}
		admin, err := sarama.NewClusterAdminFromClient(client)
		return &library{env.Bootstrap, client, admin}, err
	})
}

// The newest protocol that the library speaks: by default it stays at that of Kafka 2.1.
func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Return.Successes = true
	c.Producer.Return.Errors = true
	c.Producer.Retry.Max = 100 // a node may be away for seconds; three tries with 100 ms between them do not bridge that
	c.Consumer.Return.Errors = true
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	return c
}

func (l *library) CreateTopic(_ context.Context, topic string, partitions int, configs map[string]string) error {
	return l.createTopic(topic, partitions, 3, configs)
}

func (l *library) createTopic(topic string, partitions, replicas int, configs map[string]string) error {
	return l.admin.CreateTopic(topic, &sarama.TopicDetail{
		NumPartitions: int32(partitions), ReplicationFactor: int16(replicas), ConfigEntries: pointers(configs),
	}, false)
}

func pointers(texts map[string]string) map[string]*string {
	all := make(map[string]*string, len(texts))
	for key, text := range texts {
		all[key] = &text
	}
	return all
}

func (l *library) Partitions(_ context.Context, topic string) (int, error) {
	all, err := l.client.Partitions(topic)
	return len(all), err
}

func (l *library) OffsetAt(_ context.Context, topic string, partition int32, at int64) (int64, error) {
	return l.client.GetOffset(topic, partition, at) // OffsetNewest and OffsetOldest are Kafka's numbers, too
}

func (l *library) OffsetAfter(_ context.Context, topic string, partition int32, at time.Time) (int64, error) {
	return l.client.GetOffset(topic, partition, at.UnixMilli())
}

func (l *library) Committed(_ context.Context, group, topic string) (map[int32]int64, error) {
	answer, err := l.admin.ListConsumerGroupOffsets(group, nil)
	if err != nil {
		return nil, err
	}
	offsets := map[int32]int64{}
	for partition, block := range answer.Blocks[topic] {
		offsets[partition] = block.Offset
	}
	return offsets, nil
}

// PartitionOf: sarama's default is FNV-1a, not Java's hash.
func (l *library) PartitionOf(key []byte, partitions int) int32 {
	hash := fnv.New32a()
	hash.Write(key)
	partition := int32(hash.Sum32()) % int32(partitions)
	return max(partition, -partition)
}

func (l *library) InitTransactions(_ context.Context, id string) error {
	c := config()
	c.Producer.Idempotent = true
	c.Producer.Transaction.ID = id
	c.Net.MaxOpenRequests = 1
	c.Producer.Retry.Max = sarama.NewConfig().Producer.Retry.Max
	producer, err := sarama.NewAsyncProducer(l.bootstrap, c)
	if err != nil {
		return err
	}
	return errors.Join(producer.BeginTxn(), producer.Close())
}

func (l *library) IsTooLarge(err error) bool { return errors.Is(err, sarama.ErrMessageSizeTooLarge) }
