package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"skiff.test/driver"
)

func (l *library) Admin(ctx context.Context, env *driver.Env) error {
	topic, group := env.Name("admin"), env.Name("admin-group")
	return driver.Steps(ctx, kerr.UnknownTopicOrPartition,
		driver.Step{Name: "create a topic", Run: func(ctx context.Context) error {
			return l.CreateTopic(ctx, topic, 2, map[string]string{"retention.ms": "86400000"})
		}},
		driver.Step{Name: "describe the cluster", Run: l.describeCluster},
		driver.Step{Name: "describe the topic", Run: func(ctx context.Context) error { return l.describeTopic(ctx, topic, 2) }},
		driver.Step{Name: "its configs", Run: func(ctx context.Context) error { return l.configs(ctx, topic) }},
		driver.Step{Name: "a broker's configs", Run: l.brokerConfigs},
		driver.Step{Name: "add partitions", Run: func(ctx context.Context) error { return l.addPartitions(ctx, topic) }},
		driver.Step{Name: "delete records", Run: func(ctx context.Context) error { return l.deleteRecords(ctx, topic) }},
		driver.Step{Name: "groups", Run: func(ctx context.Context) error { return l.groups(ctx, group, topic) }},
		driver.Step{Name: "log directories", Run: func(ctx context.Context) error { return l.logDirs(ctx, topic) }},
		driver.Step{Name: "errors", Run: func(ctx context.Context) error { return l.adminErrors(ctx, env, topic) }},
		driver.Step{Name: "delete the topic", Run: func(ctx context.Context) error { return l.deleteTopic(ctx, topic) }},
	)
}

func (l *library) describeCluster(ctx context.Context) error {
	metadata, err := l.admin.BrokerMetadata(ctx)
	if err != nil {
		return err
	}
	if len(metadata.Brokers) != 3 || metadata.Cluster == "" || metadata.Controller < 0 {
		return fmt.Errorf("%d brokers, cluster %q, controller %d", len(metadata.Brokers), metadata.Cluster, metadata.Controller)
	}
	return nil
}

func (l *library) describeTopic(ctx context.Context, topic string, partitions int) error {
	topics, err := l.admin.ListTopics(ctx, topic)
	if err = errors.Join(err, topics.Error()); err != nil {
		return err
	}
	if count := len(topics[topic].Partitions); count != partitions {
		return fmt.Errorf("%d partitions, not %d", count, partitions)
	}
	for _, p := range topics[topic].Partitions {
		if p.Leader < 0 || len(p.Replicas) != 3 {
			return fmt.Errorf("partition %d: leader %d, replicas %v", p.Partition, p.Leader, p.Replicas)
		}
	}
	return nil
}

func (l *library) configs(ctx context.Context, topic string) error {
	if err := l.configBecomes(ctx, topic, "retention.ms", "86400000"); err != nil {
		return err
	}
	altered, err := l.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{
		{Op: kadm.SetConfig, Name: "max.message.bytes", Value: kadm.StringPtr("2000000")},
		{Op: kadm.DeleteConfig, Name: "retention.ms"},
	}, topic)
	for _, a := range altered {
		err = errors.Join(err, a.Err)
	}
	return errors.Join(err, l.configBecomes(ctx, topic, "max.message.bytes", "2000000"), l.configBecomes(ctx, topic, "retention.ms", "604800000"))
}

// configBecomes: the broker that is asked may be told of a change after the one that was asked for it.
func (l *library) configBecomes(ctx context.Context, topic, key, value string) error {
	return driver.Eventually(ctx, func() error { return l.configIs(ctx, topic, key, value) })
}

func (l *library) configIs(ctx context.Context, topic, key, value string) error {
	all, err := l.admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return err
	}
	described, err := all.On(topic, nil)
	if err = errors.Join(err, described.Err); err != nil {
		return err
	}
	for _, config := range described.Configs {
		if config.Key == key {
			if got := config.MaybeValue(); got != value {
				return fmt.Errorf("%s is %q, not %q", key, got, value)
			}
			return nil
		}
	}
	return fmt.Errorf("%s is not among the %d configs", key, len(described.Configs))
}

func (l *library) brokerConfigs(ctx context.Context) error {
	all, err := l.admin.DescribeBrokerConfigs(ctx, 1)
	if err != nil {
		return err
	}
	described, err := all.On("1", nil)
	if err = errors.Join(err, described.Err); err == nil && len(described.Configs) < 10 {
		err = fmt.Errorf("%d configs", len(described.Configs))
	}
	return err
}

func (l *library) addPartitions(ctx context.Context, topic string) error {
	added, err := l.admin.CreatePartitions(ctx, 2, topic)
	if err = errors.Join(err, added.Error()); err != nil {
		return err
	}
	return driver.Eventually(ctx, func() error { return l.describeTopic(ctx, topic, 4) })
}

func (l *library) deleteRecords(ctx context.Context, topic string) error {
	err := driver.SendSome(ctx, l, topic, 10)
	if err != nil {
		return err
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 4, -1)
	deleted, err := l.admin.DeleteRecords(ctx, offsets)
	if err = errors.Join(err, deleted.Error()); err != nil {
		return err
	}
	start, err := l.OffsetAt(ctx, topic, 0, driver.Earliest)
	if err == nil && start != 4 {
		err = fmt.Errorf("the first offset is %d, not 4", start)
	}
	return err
}

func (l *library) groups(ctx context.Context, group, topic string) error {
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 7, -1)
	if err := l.admin.CommitAllOffsets(ctx, group, offsets); err != nil {
		return err
	}
	listed, err := l.admin.ListGroups(ctx)
	if err != nil {
		return err
	}
	if _, known := listed[group]; !known {
		return fmt.Errorf("the group is not among the %d that are listed", len(listed))
	}
	described, err := l.admin.DescribeGroups(ctx, group)
	if err = errors.Join(err, described.Error()); err != nil {
		return err
	}
	if state := described[group].State; state != "Empty" {
		return fmt.Errorf("the group's state is %q", state)
	}
	committed, err := l.Committed(ctx, group, topic)
	if err == nil && committed[0] != 7 {
		err = fmt.Errorf("the group's offsets are %v", committed)
	}
	_, deleted := l.admin.DeleteGroup(ctx, group)
	_, again := l.admin.DeleteGroup(ctx, group)
	return errors.Join(err, deleted, driver.Fails(again, kerr.GroupIDNotFound, "delete a group that is gone"))
}

func (l *library) logDirs(ctx context.Context, topic string) error {
	dirs, err := l.admin.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		return err
	}
	brokers := 0
	for _, broker := range dirs {
		if _, known := broker.LookupPartition(topic, 0); known {
			brokers++
		}
	}
	if brokers != 3 {
		return fmt.Errorf("the topic is in the directories of %d brokers", brokers)
	}
	return nil
}

func (l *library) adminErrors(ctx context.Context, env *driver.Env, topic string) error {
	create := func(topic string, partitions int32, replicas int16) error {
		_, err := l.admin.CreateTopic(ctx, partitions, replicas, nil, topic)
		return err
	}
	_, unknown := l.admin.DeleteTopic(ctx, env.Name("nothing"))
	fewer, err := l.admin.UpdatePartitions(ctx, 1, topic)
	return errors.Join(err,
		driver.Fails(create(topic, 1, 3), kerr.TopicAlreadyExists, "create a topic that exists"),
		driver.Fails(create(env.Name("none"), 0, 3), kerr.InvalidPartitions, "create a topic with 0 partitions"),
		driver.Fails(create(env.Name("many"), 1, 9), kerr.InvalidReplicationFactor, "create a topic with 9 replicas"),
		driver.Fails(create("a b", 1, 3), kerr.InvalidTopicException, "create a topic with a bad name"),
		driver.Fails(unknown, kerr.UnknownTopicOrPartition, "delete a topic that does not exist"),
		driver.Fails(fewer.Error(), kerr.InvalidPartitions, "fewer partitions"),
		driver.Fails(l.CreateTopic(ctx, env.Name("bad"), 1, map[string]string{"retention.ms": "soon"}), kerr.InvalidConfig, "a bad config"),
	)
}

func (l *library) deleteTopic(ctx context.Context, topic string) error {
	if _, err := l.admin.DeleteTopic(ctx, topic); err != nil {
		return err
	}
	return driver.Eventually(ctx, func() error {
		topics, err := l.admin.ListTopics(ctx)
		if err == nil && topics.Has(topic) {
			err = errors.New("it is still listed")
		}
		return err
	})
}
