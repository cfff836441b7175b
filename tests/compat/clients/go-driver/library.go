package driver

import (
	"context"
	"time"
)

// Record is one record, as sent or as read. Nil and empty bytes are different.
type Record struct {
	Key, Value []byte
	Headers    []Header
	Time       time.Time // in whole milliseconds
	Partition  int32
	Offset     int64
	Codec      string // of its batch, where the library tells; "" otherwise
}

type Header struct {
	Key   string
	Value []byte
}

// Offsets that stand for a place, as in Kafka's ListOffsets.
const (
	Latest   int64 = -1
	Earliest int64 = -2
)

type ProducerOptions struct {
	Codec      string // "" is none
	Idempotent bool
	Explicit   bool // Record.Partition says where to; otherwise the library's own partitioner
	BytesMax   int  // the client's own limit of a request, if it is not to be the library's default
}

// Producer sends with acks=all.
type Producer interface {
	// Send queues a record; done is called once, with partition and offset filled in, or with an error.
	Send(record Record, done func(Record, error))
	// Close waits for what was queued.
	Close() error
}

type MemberOptions struct {
	Group, Topic string
	Cooperative  bool
	InstanceID   string // static membership
	// Called from the member's own goroutine.
	OnAssigned func(partitions []int32) // now in addition
	OnRevoked  func(partitions []int32) // no longer
	OnRecord   func(Record)
}

// Member is a member of a consumer group that starts at the group's offsets, or at the earliest, and commits what it has
// read when partitions are taken from it and when it closes.
type Member interface {
	Commit(ctx context.Context) error
	Close() error
}

// Library is what the cases need of a client library.
type Library interface {
	CreateTopic(ctx context.Context, topic string, partitions int, configs map[string]string) error
	Partitions(ctx context.Context, topic string) (int, error)
	NewProducer(topic string, options ProducerOptions) (Producer, error)
	// Consume reads partitions, without a group, from an offset (or Latest, Earliest) on, until each says false or ctx ends.
	Consume(ctx context.Context, topic string, partitions []int32, from int64, each func(Record) bool) error
	// OffsetAt gives the offset at Earliest or Latest.
	OffsetAt(ctx context.Context, topic string, partition int32, at int64) (int64, error)
	// OffsetAfter gives the first offset at or after a time, and the end, or -1, when there is none.
	OffsetAfter(ctx context.Context, topic string, partition int32, at time.Time) (int64, error)
	NewMember(MemberOptions) (Member, error)
	Committed(ctx context.Context, group, topic string) (map[int32]int64, error)
	// PartitionOf is where the library's default partitioner is documented to put a key.
	PartitionOf(key []byte, partitions int) int32
	// InitTransactions starts a transactional producer and its first transaction.
	InitTransactions(ctx context.Context, id string) error
	IsTooLarge(error) bool
	// Admin goes through the library's admin calls, and checks what they say.
	Admin(ctx context.Context, env *Env) error
}
