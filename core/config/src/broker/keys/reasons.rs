//! Why a key has no effect, or refuses the start.

pub(crate) const NO_SASL: &str = "SASL is not served yet, so nobody could pass these ACLs: remove the key, or keep this node on the original until SASL is served";
pub(crate) const ZK_SOCKET: &str = "one network layer serves plain text and TLS";
pub(crate) const THREADS: &str = "event loops and disk threads are chosen by the number of processors and directories; there is no pool of that kind";
pub(crate) const NO_AUTHORIZER: &str =
    "an authorizer is not served yet: remove the key, or keep this node on the original until authorizers are served";
pub(crate) const SASL_UNUSED: &str = "SASL is not served yet and no listener uses it, so nothing reads it";
pub(crate) const TLS_UNUSED: &str = "TLS is not served yet and no listener uses it, so nothing reads it";
pub(crate) const CLEANER: &str = "the log cleaner is not served yet: compacted topics keep everything";
pub(crate) const PURGATORY: &str = "a waiting request is dropped as soon as it is answered; nothing needs a purge";
pub(crate) const QUEUES: &str = "a request is handled on the loop that read it; no queue of requests forms";
pub(crate) const PIPELINE: &str = "requests to ZooKeeper are pipelined without a limit of their own";
pub(crate) const TRANSACTIONS: &str = "transactions are not served yet; transactional producers get an error";
pub(crate) const METRICS: &str = "metrics are not published yet";
pub(crate) const QUOTAS: &str = "client quotas are not enforced yet";
pub(crate) const BUILT_IN: &str = "only the built-in behaviour is served";
pub(crate) const NO_TOKENS: &str =
    "delegation tokens are not served yet: remove the key, or keep this node on the original until they are served";
pub(crate) const TOKENS_UNUSED: &str = "delegation tokens are not served yet, so nothing reads it";
pub(crate) const PASSWORDS_UNUSED: &str = "dynamic passwords are not served yet, so nothing is encrypted";
