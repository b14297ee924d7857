//! Commits offsets for a group, and looks at them: one thing at a time, so that it is known what must be there.

use base::{Now, Random, Str};
use kafka_client::{Admin, AdminConfig, CallId, CallOptions, ClientError, To};
use kafka_proto::messages::{find_coordinator, offset_commit, offset_fetch};
use kafka_proto::{AnyRequest, AnyResponse, ErrorCode};

use super::{illegal, network};
use crate::cluster::invariants::Onlooker;
use crate::cluster::settings::{TOPIC, bootstrap};
use crate::invariants::Verdict;

pub(in crate::cluster) struct Committing {
    group: Str,
    pub(super) admin: Admin,
    coordinator: Option<i32>,
    under_way: Option<(CallId, Asked)>,
    next_offset: i64,
    /// Whether it has looked since it was told to rest.
    has_looked: bool,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Coordinator,
    Commit(i64),
    Look,
}

impl Committing {
    pub(super) fn new(index: u64, brokers: i32, seed: u64) -> Result<Self, ClientError> {
        let bootstrap = bootstrap(brokers);
        let more = [("default.api.timeout.ms", "1500"), ("retries", "0")];
        let (config, _) = AdminConfig::new(network(&bootstrap, &more)).map_err(illegal)?;
        let group = Str::from(format!("group-{index}"));
        let admin = Admin::new(config, seed);
        Ok(Self { group, admin, coordinator: None, under_way: None, next_offset: 0, has_looked: false })
    }

    /// Whether it is at rest, and has seen what there is.
    pub(super) const fn is_done(&self) -> bool {
        self.has_looked
    }

    pub(super) fn turn(&mut self, rests: bool, now: Now, random: &mut Random, onlooker: &mut Onlooker) -> Verdict {
        while let Some((id, result)) = self.admin.next_result() {
            if let Some((_, asked)) = self.under_way.take_if(|(call, _)| *call == id) {
                self.answered(asked, result, onlooker)?;
                self.has_looked |= rests && matches!(asked, Asked::Look) && self.coordinator.is_some();
            }
        }
        if self.under_way.is_none() && (rests || random.below(4) == 0) && !self.has_looked {
            self.ask(rests, now, random, onlooker);
        }
        Ok(())
    }

    fn ask(&mut self, rests: bool, now: Now, random: &mut Random, onlooker: &mut Onlooker) {
        let (to, asked, request): (To, Asked, AnyRequest) = match self.coordinator {
            None => {
                let request = find_coordinator::Request { key: self.group.clone(), key_type: 0 };
                (To::Any, Asked::Coordinator, request.into())
            }
            Some(node) if rests || random.below(3) == 0 => (To::Node(node), Asked::Look, self.look().into()),
            Some(node) => {
                self.next_offset += 1;
                onlooker.offsets.asked(&self.group, self.next_offset);
                (To::Node(node), Asked::Commit(self.next_offset), self.commit(self.next_offset).into())
            }
        };
        let options = CallOptions { name: "offsets".to_owned(), timeout_ms: None, try_again: |_| None };
        self.under_way = Some((self.admin.call_with(to, request, options, now), asked));
    }

    fn commit(&self, offset: i64) -> offset_commit::Request {
        offset_commit::Request {
            group_id: self.group.clone(),
            generation_id: -1,
            member_id: Str::EMPTY,
            group_instance_id: None,
            retention_time_ms: -1,
            topics: vec![offset_commit::RequestTopic {
                name: Str::from_static(TOPIC),
                partitions: vec![offset_commit::RequestPartition {
                    partition_index: 0,
                    committed_offset: offset,
                    committed_leader_epoch: -1,
                    commit_timestamp: -1,
                    committed_metadata: Some(Str::EMPTY),
                }],
            }],
        }
    }

    fn look(&self) -> offset_fetch::Request {
        let topic = offset_fetch::RequestTopic { name: Str::from_static(TOPIC), partition_indexes: vec![0] };
        offset_fetch::Request { group_id: self.group.clone(), topics: Some(vec![topic]), require_stable: false }
    }

    fn answered(&mut self, asked: Asked, result: Result<AnyResponse, ClientError>, onlooker: &mut Onlooker) -> Verdict {
        let wrong = match (asked, result) {
            (Asked::Coordinator, Ok(AnyResponse::FindCoordinator(found))) if found.error_code == ErrorCode::NONE => {
                self.coordinator = Some(found.node_id);
                return Ok(());
            }
            (Asked::Commit(offset), Ok(AnyResponse::OffsetCommit(response))) => {
                let mut codes = response.topics.iter().flat_map(|topic| &topic.partitions).map(|one| one.error_code);
                let code = codes.next().unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR);
                if code == ErrorCode::NONE {
                    onlooker.count("committed");
                    onlooker.offsets.committed(&self.group, offset);
                    return Ok(());
                }
                format!("{code}")
            }
            (Asked::Look, Ok(AnyResponse::OffsetFetch(response))) => {
                let mut found = response.topics.iter().flat_map(|topic| &topic.partitions);
                match (response.error_code, found.next()) {
                    (ErrorCode::NONE, Some(one)) if one.error_code == ErrorCode::NONE => {
                        return onlooker.offsets.seen(&self.group, one.committed_offset);
                    }
                    (code, _) => format!("{code}"),
                }
            }
            (_, Ok(_)) => "not found".to_owned(),
            (_, Err(error)) => error.to_string(),
        };
        onlooker.tell(|| format!("group {}: {asked:?}: {wrong}", self.group));
        self.coordinator = None;
        Ok(())
    }
}
