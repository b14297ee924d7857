//! What differs between two brokers that behave alike: ids by chance, the clock, and the order of lists that the original hashes.

use kafka_proto::messages::{
    alter_configs, api_versions, create_partitions, create_topics, delete_groups, delete_records, delete_topics,
    describe_configs, describe_groups, describe_log_dirs, fetch, find_coordinator, heartbeat,
    incremental_alter_configs, init_producer_id, join_group, leave_group, list_groups, list_offset, metadata,
    offset_commit, offset_delete, offset_fetch, offset_for_leader_epoch, produce, sync_group,
};

/// Takes the differences out.
pub(super) trait Tidy: std::fmt::Debug {
    fn tidy(&mut self) {}
}

impl Tidy for sync_group::Response {}
impl Tidy for heartbeat::Response {}
impl Tidy for leave_group::Response {}

macro_rules! tidy {
    ($($message:ident: |$reply:ident| $body:expr;)*) => {
        $(impl Tidy for $message::Response {
            fn tidy(&mut self) {
                let $reply = self;
                $body;
            }
        })*
    };
}

tidy! {
    metadata: |reply| {
        reply.cluster_id = None;
        reply.brokers.iter_mut().for_each(|broker| broker.port = 0);
        reply.topics.sort_by(|one, other| one.name.cmp(&other.name));
        for topic in &mut reply.topics {
            topic.partitions.sort_by_key(|partition| partition.partition_index);
        }
    };
    produce: |reply| {
        reply.topics.sort_by(|one, other| one.name.cmp(&other.name));
        for topic in &mut reply.topics {
            topic.partitions.sort_by_key(|partition| partition.partition_index);
        }
    };
    fetch: |reply| reply.session_id = reply.session_id.min(1);
    list_offset: |reply| {
        reply.topics.sort_by(|one, other| one.name.cmp(&other.name));
        for topic in &mut reply.topics {
            topic.partitions.sort_by_key(|partition| (partition.partition_index, partition.error_code.0));
        }
    };
    delete_records: |reply| {
        reply.topics.sort_by(|one, other| one.name.cmp(&other.name));
        for topic in &mut reply.topics {
            topic.partitions.sort_by_key(|partition| partition.partition_index);
        }
    };
    offset_for_leader_epoch: |reply| {
        reply.topics.sort_by(|one, other| one.name.cmp(&other.name));
        for topic in &mut reply.topics {
            topic.partitions.sort_by_key(|partition| partition.partition_index);
        }
    };
    describe_configs: |reply| {
        for outcome in &mut reply.results {
            outcome.configs.sort_by(|one, other| one.name.cmp(&other.name));
            // 2.7 forgot to fill the field of version 0, which earlier versions did, as we do.
            outcome.configs.iter_mut().for_each(|config| config.is_default = false);
            // Its ZooKeeper is its own.
            outcome.configs.retain(|config| config.name != "zookeeper.connect");
        }
        reply.results.sort_by(|one, other| {
            (one.resource_type, &one.resource_name).cmp(&(other.resource_type, &other.resource_name))
        });
    };
    alter_configs: |reply| reply.responses.sort_by(|one, other| {
        (one.resource_type, &one.resource_name).cmp(&(other.resource_type, &other.resource_name))
    });
    incremental_alter_configs: |reply| reply.responses.sort_by(|one, other| {
        (one.resource_type, &one.resource_name).cmp(&(other.resource_type, &other.resource_name))
    });
    create_topics: |reply| {
        reply.topics.sort_by(|one, other| one.name.cmp(&other.name));
        for topic in &mut reply.topics {
            if let Some(configs) = &mut topic.configs {
                configs.sort_by(|one, other| one.name.cmp(&other.name));
            }
        }
    };
    create_partitions: |reply| reply.results.sort_by(|one, other| one.name.cmp(&other.name));
    delete_topics: |reply| reply.responses.sort_by(|one, other| one.name.cmp(&other.name));
    find_coordinator: |reply| reply.port = reply.port.min(1);
    init_producer_id: |reply| reply.producer_id = reply.producer_id.min(0);
    describe_log_dirs: |reply| for result in &mut reply.results {
        result.topics.sort_by(|one, other| one.name.cmp(&other.name));
        for topic in &mut result.topics {
            topic.partitions.sort_by_key(|partition| partition.partition_index);
        }
    };
    // Which APIs there are is compared by another test.
    api_versions: |reply| reply.api_keys.clear();
    join_group: |reply| {
        let id = |id: &base::Str| if id.len() > 36 { "<id>".into() } else { id.clone() };
        (reply.leader, reply.member_id) = (id(&reply.leader), id(&reply.member_id));
        reply.members.iter_mut().for_each(|member| member.member_id = id(&member.member_id));
    };
    offset_commit: |reply| {
        reply.topics.sort_by(|one, other| one.name.cmp(&other.name));
        for topic in &mut reply.topics {
            topic.partitions.sort_by_key(|partition| partition.partition_index);
        }
    };
    offset_fetch: |reply| {
        reply.topics.sort_by(|one, other| one.name.cmp(&other.name));
        for topic in &mut reply.topics {
            topic.partitions.sort_by_key(|partition| partition.partition_index);
        }
    };
    describe_groups: |reply| for group in &mut reply.groups {
        group.members.clear();
    };
    list_groups: |reply| reply.groups.sort_by(|one, other| one.group_id.cmp(&other.group_id));
    delete_groups: |reply| reply.results.sort_by(|one, other| one.group_id.cmp(&other.group_id));
    offset_delete: |reply| {
        reply.topics.sort_by(|one, other| one.name.cmp(&other.name));
        for topic in &mut reply.topics {
            topic.partitions.sort_by_key(|partition| partition.partition_index);
        }
    };
}
