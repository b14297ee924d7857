//! Who looks, when others rest, at what the coordinator says of the members' group.

use base::{Now, Str};
use kafka_client::{Admin, AdminConfig, CallId, CallOptions, ClientError, To};
use kafka_proto::messages::{describe_groups, find_coordinator};
use kafka_proto::{AnyRequest, AnyResponse, ErrorCode};

use super::{illegal, network};
use crate::cluster::settings::{Draw, GROUP, bootstrap};

pub(in crate::cluster) struct Describing {
    pub(super) admin: Admin,
    members: usize,
    coordinator: Option<i32>,
    call: Option<CallId>,
    /// What it was told last.
    found: Option<describe_groups::Group>,
}

impl Describing {
    pub(super) fn new(brokers: i32, draw: &Draw, seed: u64) -> Result<Self, ClientError> {
        let bootstrap = bootstrap(brokers);
        let more = [("default.api.timeout.ms", "1500"), ("retries", "0")];
        let (config, _) = AdminConfig::new(network(&bootstrap, &more)).map_err(illegal)?;
        let admin = Admin::new(config, seed);
        Ok(Self { admin, members: draw.members as usize, coordinator: None, call: None, found: None })
    }

    /// What the group is not yet.
    pub(super) fn unfinished(&self) -> Vec<String> {
        let is_right =
            |group: &describe_groups::Group| &*group.group_state == "Stable" && group.members.len() == self.members;
        if self.found.as_ref().is_some_and(is_right) {
            return Vec::new();
        }
        let told = self.found.as_ref().map(|group| (&group.group_state, group.members.len()));
        vec![format!("a stable group of {} members: {told:?}", self.members)]
    }

    pub(super) fn turn(&mut self, rests: bool, now: Now) {
        while let Some((id, result)) = self.admin.next_result() {
            if self.call.take_if(|call| *call == id).is_some() {
                self.answered(result);
            }
        }
        if rests && self.call.is_none() {
            let (to, request): (To, AnyRequest) = match self.coordinator {
                None => (To::Any, find_coordinator::Request { key: Str::from_static(GROUP), key_type: 0 }.into()),
                Some(node) => {
                    let groups = vec![Str::from_static(GROUP)];
                    let request = describe_groups::Request { groups, include_authorized_operations: false };
                    (To::Node(node), request.into())
                }
            };
            let options = CallOptions { name: "describe".to_owned(), timeout_ms: None, try_again: |_| None };
            self.call = Some(self.admin.call_with(to, request, options, now));
        }
    }

    fn answered(&mut self, result: Result<AnyResponse, ClientError>) {
        match result {
            Ok(AnyResponse::FindCoordinator(found)) if found.error_code == ErrorCode::NONE => {
                self.coordinator = Some(found.node_id);
            }
            Ok(AnyResponse::DescribeGroups(mut response))
                if response.groups.first().is_some_and(|group| group.error_code == ErrorCode::NONE) =>
            {
                self.found = response.groups.pop();
            }
            _ => self.coordinator = None,
        }
    }
}
