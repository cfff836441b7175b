package main

import (
	"context"
	"errors"
	"sync"

	"github.com/IBM/sarama"
	"skiff.test/driver"
)

type member struct {
	options driver.MemberOptions
	group   sarama.ConsumerGroup
	stop    context.CancelFunc
	over    chan error

	lock    sync.Mutex
	session sarama.ConsumerGroupSession
}

func (l *library) NewMember(options driver.MemberOptions) (driver.Member, error) {
	c := config()
	c.Consumer.Group.InstanceId = options.InstanceID
	c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	if options.Cooperative {
		c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyCooperativeSticky()}
	}
	group, err := sarama.NewConsumerGroup(l.bootstrap, options.Group, c)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &member{options: options, group: group, stop: stop, over: make(chan error, 1)}
	go func() { m.over <- m.consume(ctx) }()
	go func() {
		for e := range group.Errors() {
			sarama.Logger.Print(e)
		}
	}()
	return m, nil
}

// Each session lasts until the next rebalance.
func (m *member) consume(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := m.group.Consume(ctx, []string{m.options.Topic}, m); err != nil {
			sarama.Logger.Print(err) // it is for the caller to try again
		}
	}
	return nil
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.session = session
	return nil
}

func (m *member) Cleanup(session sarama.ConsumerGroupSession) error {
	session.Commit()
	return nil
}

// ConsumeClaim has a partition until it is taken away.
func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	m.options.OnAssigned([]int32{claim.Partition()})
	for message := range claim.Messages() {
		m.options.OnRecord(fromSarama(message))
		session.MarkMessage(message, "")
	}
	session.Commit()
	m.options.OnRevoked([]int32{claim.Partition()})
	return nil
}

// Commit: what goes wrong comes out of the group's errors, not of here.
func (m *member) Commit(context.Context) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.session == nil {
		return errors.New("it has no partitions yet")
	}
	m.session.Commit()
	return nil
}

func (m *member) Close() error {
	m.stop()
	err := <-m.over
	return errors.Join(err, m.group.Close())
}
