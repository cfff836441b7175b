package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"
	"skiff.test/driver"
)

func (l *library) Admin(ctx context.Context, env *driver.Env) error {
	topic, group := env.Name("admin"), env.Name("admin-group")
	return driver.Steps(ctx, sarama.ErrUnknownTopicOrPartition,
		driver.Step{Name: "create a topic", Run: func(ctx context.Context) error {
			return l.CreateTopic(ctx, topic, 2, map[string]string{"retention.ms": "86400000"})
		}},
		driver.Step{Name: "describe the cluster", Run: l.describeCluster},
		driver.Step{Name: "describe the topic", Run: func(context.Context) error { return l.describeTopic(topic, 2) }},
		driver.Step{Name: "its configs", Run: func(ctx context.Context) error { return l.configs(ctx, topic) }},
		driver.Step{Name: "a broker's configs", Run: l.brokerConfigs},
		driver.Step{Name: "add partitions", Run: func(ctx context.Context) error { return l.addPartitions(ctx, topic) }},
		driver.Step{Name: "delete records", Run: func(ctx context.Context) error { return l.deleteRecords(ctx, topic) }},
		driver.Step{Name: "groups", Run: func(ctx context.Context) error { return l.groups(ctx, group, topic) }},
		driver.Step{Name: "log directories", Run: func(context.Context) error { return l.logDirs(topic) }},
		driver.Step{Name: "errors", Run: func(ctx context.Context) error { return l.adminErrors(env, topic) }},
		driver.Step{Name: "delete the topic", Run: func(ctx context.Context) error { return l.deleteTopic(ctx, topic) }},
	)
}

func (l *library) describeCluster(context.Context) error {
	brokers, controller, err := l.admin.DescribeCluster()
	if err == nil && (len(brokers) != 3 || controller < 0) {
		err = fmt.Errorf("%d brokers, controller %d", len(brokers), controller)
	}
	return err
}

func (l *library) describeTopic(topic string, partitions int) error {
	described, err := l.admin.DescribeTopics([]string{topic})
	if err != nil {
		return err
	}
	if described[0].Err != sarama.ErrNoError {
		return described[0].Err
	}
	if count := len(described[0].Partitions); count != partitions {
		return fmt.Errorf("%d partitions, not %d", count, partitions)
	}
	for _, p := range described[0].Partitions {
		if p.Leader < 0 || len(p.Replicas) != 3 {
			return fmt.Errorf("partition %d: leader %d, replicas %v", p.ID, p.Leader, p.Replicas)
		}
	}
	return nil
}

func (l *library) configs(ctx context.Context, topic string) error {
	if err := l.configBecomes(ctx, topic, "retention.ms", "86400000"); err != nil {
		return err
	}
	larger := "2000000"
	incremental := l.admin.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{
		"max.message.bytes": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &larger},
		"retention.ms":      {Operation: sarama.IncrementalAlterConfigsOperationDelete},
	}, false)
	incremental = errors.Join(incremental, l.configBecomes(ctx, topic, "max.message.bytes", larger), l.configBecomes(ctx, topic, "retention.ms", "604800000"))
	// The old call sets all of a topic's configs.
	all := l.admin.AlterConfig(sarama.TopicResource, topic, pointers(map[string]string{"retention.ms": "3600000"}), false)
	return errors.Join(incremental, all, l.configBecomes(ctx, topic, "retention.ms", "3600000"), l.configBecomes(ctx, topic, "max.message.bytes", "1048588"))
}

// configBecomes: the broker that is asked may be told of a change after the one that was asked for it.
func (l *library) configBecomes(ctx context.Context, topic, key, value string) error {
	return driver.Eventually(ctx, func() error { return l.configIs(topic, key, value) })
}

func (l *library) configIs(topic, key, value string) error {
	entries, err := l.admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name == key {
			if entry.Value != value {
				return fmt.Errorf("%s is %q, not %q", key, entry.Value, value)
			}
			return nil
		}
	}
	return fmt.Errorf("%s is not among the %d configs", key, len(entries))
}

func (l *library) brokerConfigs(context.Context) error {
	entries, err := l.admin.DescribeConfig(sarama.ConfigResource{Type: sarama.BrokerResource, Name: "1"})
	if err == nil && len(entries) < 10 {
		err = fmt.Errorf("%d configs", len(entries))
	}
	return err
}

func (l *library) addPartitions(ctx context.Context, topic string) error {
	if err := l.admin.CreatePartitions(topic, 4, nil, false); err != nil {
		return err
	}
	return driver.Eventually(ctx, func() error { return l.describeTopic(topic, 4) })
}

func (l *library) deleteRecords(ctx context.Context, topic string) error {
	if err := driver.SendSome(ctx, l, topic, 10); err != nil {
		return err
	}
	if err := l.admin.DeleteRecords(topic, map[int32]int64{0: 4}); err != nil {
		return err
	}
	start, err := l.OffsetAt(ctx, topic, 0, driver.Earliest)
	if err == nil && start != 4 {
		err = fmt.Errorf("the first offset is %d, not 4", start)
	}
	return err
}

func (l *library) groups(ctx context.Context, group, topic string) error {
	if err := l.commitOutside(group, topic, 7); err != nil {
		return err
	}
	listed, err := l.admin.ListConsumerGroups()
	if err != nil {
		return err
	}
	if _, known := listed[group]; !known {
		return fmt.Errorf("the group is not among the %d that are listed", len(listed))
	}
	described, err := l.admin.DescribeConsumerGroups([]string{group})
	if err != nil {
		return err
	}
	if d := described[0]; d.Err != sarama.ErrNoError || d.State != "Empty" {
		return fmt.Errorf("the group's state is %q (%w)", d.State, d.Err)
	}
	committed, err := l.Committed(ctx, group, topic)
	if err == nil && committed[0] != 7 {
		err = fmt.Errorf("the group's offsets are %v", committed)
	}
	return errors.Join(err, l.admin.DeleteConsumerGroup(group),
		driver.Fails(l.admin.DeleteConsumerGroup(group), sarama.ErrGroupIDNotFound, "delete a group that is gone"))
}

// commitOutside commits an offset of partition 0 for a group without members.
func (l *library) commitOutside(group, topic string, offset int64) error {
	manager, err := sarama.NewOffsetManagerFromClient(group, l.client)
	if err != nil {
		return err
	}
	partition, err := manager.ManagePartition(topic, 0)
	if err != nil {
		return errors.Join(err, manager.Close())
	}
	partition.MarkOffset(offset, "")
	manager.Commit()
	partition.AsyncClose() // Close would wait for what manager.Close brings about
	return manager.Close()
}

func (l *library) logDirs(topic string) error {
	dirs, err := l.admin.DescribeLogDirs([]int32{0, 1, 2})
	if err != nil {
		return err
	}
	brokers := 0
	for _, dir := range dirs {
		for _, t := range dir[0].Topics {
			if t.Topic == topic {
				brokers++
			}
		}
	}
	if brokers != 3 {
		return fmt.Errorf("the topic is in the directories of %d brokers", brokers)
	}
	return nil
}

func (l *library) adminErrors(env *driver.Env, topic string) error {
	return errors.Join(
		driver.Fails(l.createTopic(topic, 1, 3, nil), sarama.ErrTopicAlreadyExists, "create a topic that exists"),
		driver.Fails(l.createTopic(env.Name("none"), 0, 3, nil), sarama.ErrInvalidPartitions, "create a topic with 0 partitions"),
		driver.Fails(l.createTopic(env.Name("many"), 1, 9, nil), sarama.ErrInvalidReplicationFactor, "create a topic with 9 replicas"),
		driver.Fails(l.createTopic("a b", 1, 3, nil), sarama.ErrInvalidTopic, "create a topic with a bad name"),
		driver.Fails(l.admin.DeleteTopic(env.Name("nothing")), sarama.ErrUnknownTopicOrPartition, "delete a topic that does not exist"),
		driver.Fails(l.admin.CreatePartitions(topic, 1, nil, false), sarama.ErrInvalidPartitions, "fewer partitions"),
		driver.Fails(l.createTopic(env.Name("bad"), 1, 3, map[string]string{"retention.ms": "soon"}), sarama.ErrInvalidConfig, "a bad config"),
	)
}

func (l *library) deleteTopic(ctx context.Context, topic string) error {
	if err := l.admin.DeleteTopic(topic); err != nil {
		return err
	}
	return driver.Eventually(ctx, func() error {
		topics, err := l.admin.ListTopics()
		if _, still := topics[topic]; err == nil && still {
			err = errors.New("it is still listed")
		}
		return err
	})
}
