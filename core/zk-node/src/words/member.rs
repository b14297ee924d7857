//! What `srvr`, `conf` and `mntr` tell of a member of an ensemble (`QuorumZooKeeperServer`, `LeaderZooKeeperServer`).

use base::Now;
use config::zookeeper::{HostPort, PeerType};

use crate::Server;
use crate::member::Member;

impl Server {
    /// The number that `conf` tells; 0 for a server on its own.
    pub(super) fn server_id(&self) -> i64 {
        self.role.member().map_or(0, |member| member.settings().id)
    }

    /// The rest of `conf`.
    pub(super) fn member_configuration(&self) -> String {
        let Some(member) = self.role.member() else { return String::new() };
        let settings = member.settings();
        let ensemble = &member.list().ensemble;
        let line = ensemble.servers.get(&settings.id);
        let ports = |pick: fn(&config::zookeeper::Server) -> &[HostPort]| {
            let mut ports: Vec<_> = line.map_or(&[][..], pick).iter().map(|address| address.port.to_string()).collect();
            ports.dedup();
            ports.join("|")
        };
        format!(
            "initLimit={}\nsyncLimit={}\nelectionAlg=3\nelectionPort={}\nquorumPort={}\npeerType={}\nmembership: \n{}",
            settings.init_limit,
            settings.sync_limit,
            ports(|line| &line.election),
            ports(|line| &line.quorum),
            i32::from(member.peer_type() == PeerType::Observer),
            ensemble.text(),
        )
    }

    /// What `srvr` and `stat` tell of a leader.
    pub(super) fn proposal_sizes(&self) -> String {
        let Some(leading) = self.role.member().and_then(Member::as_leader) else { return String::new() };
        let sizes = leading.proposal_sizes();
        format!("Proposal sizes last/min/max: {}/{}/{}\n", sizes.last, sizes.least, sizes.greatest)
    }

    /// The figures of `mntr` that a server on its own does not have.
    pub(super) fn member_figures(&self, now: Now) -> Vec<(&'static str, String)> {
        let Some(member) = self.role.member() else { return Vec::new() };
        let mut figures = vec![
            ("peer_state", format!("{} - broadcast", member.state())),
            ("quorum_size", member.list().ensemble.voters().count().to_string()),
        ];
        figures.extend(member.observer_figures());
        if let Some(leading) = member.as_leader() {
            let (synced_followers, synced_observers) = leading.synced_counts();
            let (followers, observers) = leading.learner_counts();
            let sizes = leading.proposal_sizes();
            figures.extend([
                ("learners", (followers + observers).to_string()),
                ("synced_followers", synced_followers.to_string()),
                ("synced_non_voting_followers", "0".to_owned()),
                ("synced_observers", synced_observers.to_string()),
                ("pending_syncs", leading.pending_syncs().to_string()),
                ("leader_uptime", leading.uptime_ms(now).to_string()),
                ("last_proposal_size", sizes.last.to_string()),
                ("max_proposal_size", sizes.greatest.to_string()),
                ("min_proposal_size", sizes.least.to_string()),
            ]);
        }
        figures
    }
}
