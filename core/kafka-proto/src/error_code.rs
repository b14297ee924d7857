//! Error codes, as `org.apache.kafka.common.protocol.Errors` of 2.7.1 has them: name, exception, text, and what a client
//! does about each.

use std::fmt;

/// A code of the wire; codes of later versions are carried too. Compare with the constants.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub i16);

/// What is known of a code.
struct Entry {
    name: &'static str,
    exception: &'static str,
    remedy: Remedy,
    message: &'static str,
}

/// What a client does about an error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// Fetch the metadata anew, then try again (`InvalidMetadataException`).
    Refresh,
    /// Try again (`RetriableException`).
    Retry,
    /// Give up.
    Final,
}

macro_rules! error_codes {
    ($($name:ident = $code:literal, $remedy:ident, $exception:literal, $message:literal;)*) => {
        impl ErrorCode {
            $(
                #[doc = concat!(stringify!($code), ": ", $message)]
                pub const $name: Self = Self($code);
            )*

            /// All codes of 2.7.1, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            const fn entry(self) -> Option<Entry> {
                match self.0 {
                    $($code => Some(Entry {
                        name: stringify!($name),
                        exception: $exception,
                        remedy: Remedy::$remedy,
                        message: $message,
                    }),)*
                    _ => None,
                }
            }
        }
    };
}

error_codes! {
    UNKNOWN_SERVER_ERROR = -1, Final, "errors.UnknownServerException",
        "The server experienced an unexpected error when processing the request.";
    NONE = 0, Final, "",
        "";
    OFFSET_OUT_OF_RANGE = 1, Final, "errors.OffsetOutOfRangeException",
        "The requested offset is not within the range of offsets maintained by the server.";
    CORRUPT_MESSAGE = 2, Retry, "errors.CorruptRecordException",
        "This message has failed its CRC checksum, exceeds the valid size, has a null key for a compacted \
         topic, or is otherwise corrupt.";
    UNKNOWN_TOPIC_OR_PARTITION = 3, Refresh, "errors.UnknownTopicOrPartitionException",
        "This server does not host this topic-partition.";
    INVALID_FETCH_SIZE = 4, Final, "errors.InvalidFetchSizeException",
        "The requested fetch size is invalid.";
    LEADER_NOT_AVAILABLE = 5, Refresh, "errors.LeaderNotAvailableException",
        "There is no leader for this topic-partition as we are in the middle of a leadership election.";
    NOT_LEADER_OR_FOLLOWER = 6, Refresh, "errors.NotLeaderOrFollowerException",
        "For requests intended only for the leader, this error indicates that the broker is not the current \
         leader. For requests intended for any replica, this error indicates that the broker is not a replica \
         of the topic partition.";
    REQUEST_TIMED_OUT = 7, Retry, "errors.TimeoutException",
        "The request timed out.";
    BROKER_NOT_AVAILABLE = 8, Final, "errors.BrokerNotAvailableException",
        "The broker is not available.";
    REPLICA_NOT_AVAILABLE = 9, Refresh, "errors.ReplicaNotAvailableException",
        "The replica is not available for the requested topic-partition. Produce/Fetch requests and other \
         requests intended only for the leader or follower return NOT_LEADER_OR_FOLLOWER if the broker is not \
         a replica of the topic-partition.";
    MESSAGE_TOO_LARGE = 10, Final, "errors.RecordTooLargeException",
        "The request included a message larger than the max message size the server will accept.";
    STALE_CONTROLLER_EPOCH = 11, Final, "errors.ControllerMovedException",
        "The controller moved to another broker.";
    OFFSET_METADATA_TOO_LARGE = 12, Final, "errors.OffsetMetadataTooLarge",
        "The metadata field of the offset request was too large.";
    NETWORK_EXCEPTION = 13, Refresh, "errors.NetworkException",
        "The server disconnected before a response was received.";
    COORDINATOR_LOAD_IN_PROGRESS = 14, Retry, "errors.CoordinatorLoadInProgressException",
        "The coordinator is loading and hence can't process requests.";
    COORDINATOR_NOT_AVAILABLE = 15, Retry, "errors.CoordinatorNotAvailableException",
        "The coordinator is not available.";
    NOT_COORDINATOR = 16, Retry, "errors.NotCoordinatorException",
        "This is not the correct coordinator.";
    INVALID_TOPIC_EXCEPTION = 17, Final, "errors.InvalidTopicException",
        "The request attempted to perform an operation on an invalid topic.";
    RECORD_LIST_TOO_LARGE = 18, Final, "errors.RecordBatchTooLargeException",
        "The request included message batch larger than the configured segment size on the server.";
    NOT_ENOUGH_REPLICAS = 19, Retry, "errors.NotEnoughReplicasException",
        "Messages are rejected since there are fewer in-sync replicas than required.";
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20, Retry, "errors.NotEnoughReplicasAfterAppendException",
        "Messages are written to the log, but to fewer in-sync replicas than required.";
    INVALID_REQUIRED_ACKS = 21, Final, "errors.InvalidRequiredAcksException",
        "Produce request specified an invalid value for required acks.";
    ILLEGAL_GENERATION = 22, Final, "errors.IllegalGenerationException",
        "Specified group generation id is not valid.";
    INCONSISTENT_GROUP_PROTOCOL = 23, Final, "errors.InconsistentGroupProtocolException",
        "The group member's supported protocols are incompatible with those of existing members or first \
         group member tried to join with empty protocol type or empty protocol list.";
    INVALID_GROUP_ID = 24, Final, "errors.InvalidGroupIdException",
        "The configured groupId is invalid.";
    UNKNOWN_MEMBER_ID = 25, Final, "errors.UnknownMemberIdException",
        "The coordinator is not aware of this member.";
    INVALID_SESSION_TIMEOUT = 26, Final, "errors.InvalidSessionTimeoutException",
        "The session timeout is not within the range allowed by the broker (as configured by \
         group.min.session.timeout.ms and group.max.session.timeout.ms).";
    REBALANCE_IN_PROGRESS = 27, Final, "errors.RebalanceInProgressException",
        "The group is rebalancing, so a rejoin is needed.";
    INVALID_COMMIT_OFFSET_SIZE = 28, Final, "errors.InvalidCommitOffsetSizeException",
        "The committing offset data size is not valid.";
    TOPIC_AUTHORIZATION_FAILED = 29, Final, "errors.TopicAuthorizationException",
        "Topic authorization failed.";
    GROUP_AUTHORIZATION_FAILED = 30, Final, "errors.GroupAuthorizationException",
        "Group authorization failed.";
    CLUSTER_AUTHORIZATION_FAILED = 31, Final, "errors.ClusterAuthorizationException",
        "Cluster authorization failed.";
    INVALID_TIMESTAMP = 32, Final, "errors.InvalidTimestampException",
        "The timestamp of the message is out of acceptable range.";
    UNSUPPORTED_SASL_MECHANISM = 33, Final, "errors.UnsupportedSaslMechanismException",
        "The broker does not support the requested SASL mechanism.";
    ILLEGAL_SASL_STATE = 34, Final, "errors.IllegalSaslStateException",
        "Request is not valid given the current SASL state.";
    UNSUPPORTED_VERSION = 35, Final, "errors.UnsupportedVersionException",
        "The version of API is not supported.";
    TOPIC_ALREADY_EXISTS = 36, Final, "errors.TopicExistsException",
        "Topic with this name already exists.";
    INVALID_PARTITIONS = 37, Final, "errors.InvalidPartitionsException",
        "Number of partitions is below 1.";
    INVALID_REPLICATION_FACTOR = 38, Final, "errors.InvalidReplicationFactorException",
        "Replication factor is below 1 or larger than the number of available brokers.";
    INVALID_REPLICA_ASSIGNMENT = 39, Final, "errors.InvalidReplicaAssignmentException",
        "Replica assignment is invalid.";
    INVALID_CONFIG = 40, Final, "errors.InvalidConfigurationException",
        "Configuration is invalid.";
    NOT_CONTROLLER = 41, Retry, "errors.NotControllerException",
        "This is not the correct controller for this cluster.";
    INVALID_REQUEST = 42, Final, "errors.InvalidRequestException",
        "This most likely occurs because of a request being malformed by the client library or the message \
         was sent to an incompatible broker. See the broker logs for more details.";
    UNSUPPORTED_FOR_MESSAGE_FORMAT = 43, Final, "errors.UnsupportedForMessageFormatException",
        "The message format version on the broker does not support the request.";
    POLICY_VIOLATION = 44, Final, "errors.PolicyViolationException",
        "Request parameters do not satisfy the configured policy.";
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45, Final, "errors.OutOfOrderSequenceException",
        "The broker received an out of order sequence number.";
    DUPLICATE_SEQUENCE_NUMBER = 46, Final, "errors.DuplicateSequenceException",
        "The broker received a duplicate sequence number.";
    INVALID_PRODUCER_EPOCH = 47, Final, "errors.InvalidProducerEpochException",
        "Producer attempted to produce with an old epoch.";
    INVALID_TXN_STATE = 48, Final, "errors.InvalidTxnStateException",
        "The producer attempted a transactional operation in an invalid state.";
    INVALID_PRODUCER_ID_MAPPING = 49, Final, "errors.InvalidPidMappingException",
        "The producer attempted to use a producer id which is not currently assigned to its transactional id.";
    INVALID_TRANSACTION_TIMEOUT = 50, Final, "errors.InvalidTxnTimeoutException",
        "The transaction timeout is larger than the maximum value allowed by the broker (as configured by \
         transaction.max.timeout.ms).";
    CONCURRENT_TRANSACTIONS = 51, Final, "errors.ConcurrentTransactionsException",
        "The producer attempted to update a transaction while another concurrent operation on the same \
         transaction was ongoing.";
    TRANSACTION_COORDINATOR_FENCED = 52, Final, "errors.TransactionCoordinatorFencedException",
        "Indicates that the transaction coordinator sending a WriteTxnMarker is no longer the current \
         coordinator for a given producer.";
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53, Final, "errors.TransactionalIdAuthorizationException",
        "Transactional Id authorization failed.";
    SECURITY_DISABLED = 54, Final, "errors.SecurityDisabledException",
        "Security features are disabled.";
    OPERATION_NOT_ATTEMPTED = 55, Final, "errors.OperationNotAttemptedException",
        "The broker did not attempt to execute this operation. This may happen for batched RPCs where some \
         operations in the batch failed, causing the broker to respond without trying the rest.";
    KAFKA_STORAGE_ERROR = 56, Refresh, "errors.KafkaStorageException",
        "Disk error when trying to access log file on the disk.";
    LOG_DIR_NOT_FOUND = 57, Final, "errors.LogDirNotFoundException",
        "The user-specified log directory is not found in the broker config.";
    SASL_AUTHENTICATION_FAILED = 58, Final, "errors.SaslAuthenticationException",
        "SASL Authentication failed.";
    UNKNOWN_PRODUCER_ID = 59, Final, "errors.UnknownProducerIdException",
        "This exception is raised by the broker if it could not locate the producer metadata associated with \
         the producerId in question. This could happen if, for instance, the producer's records were deleted \
         because their retention time had elapsed. Once the last records of the producerId are removed, the \
         producer's metadata is removed from the broker, and future appends by the producer will return this \
         exception.";
    REASSIGNMENT_IN_PROGRESS = 60, Final, "errors.ReassignmentInProgressException",
        "A partition reassignment is in progress.";
    DELEGATION_TOKEN_AUTH_DISABLED = 61, Final, "errors.DelegationTokenDisabledException",
        "Delegation Token feature is not enabled.";
    DELEGATION_TOKEN_NOT_FOUND = 62, Final, "errors.DelegationTokenNotFoundException",
        "Delegation Token is not found on server.";
    DELEGATION_TOKEN_OWNER_MISMATCH = 63, Final, "errors.DelegationTokenOwnerMismatchException",
        "Specified Principal is not valid Owner/Renewer.";
    DELEGATION_TOKEN_REQUEST_NOT_ALLOWED = 64, Final, "errors.UnsupportedByAuthenticationException",
        "Delegation Token requests are not allowed on PLAINTEXT/1-way SSL channels and on delegation token \
         authenticated channels.";
    DELEGATION_TOKEN_AUTHORIZATION_FAILED = 65, Final, "errors.DelegationTokenAuthorizationException",
        "Delegation Token authorization failed.";
    DELEGATION_TOKEN_EXPIRED = 66, Final, "errors.DelegationTokenExpiredException",
        "Delegation Token is expired.";
    INVALID_PRINCIPAL_TYPE = 67, Final, "errors.InvalidPrincipalTypeException",
        "Supplied principalType is not supported.";
    NON_EMPTY_GROUP = 68, Final, "errors.GroupNotEmptyException",
        "The group is not empty.";
    GROUP_ID_NOT_FOUND = 69, Final, "errors.GroupIdNotFoundException",
        "The group id does not exist.";
    FETCH_SESSION_ID_NOT_FOUND = 70, Retry, "errors.FetchSessionIdNotFoundException",
        "The fetch session ID was not found.";
    INVALID_FETCH_SESSION_EPOCH = 71, Retry, "errors.InvalidFetchSessionEpochException",
        "The fetch session epoch is invalid.";
    LISTENER_NOT_FOUND = 72, Refresh, "errors.ListenerNotFoundException",
        "There is no listener on the leader broker that matches the listener on which metadata request was \
         processed.";
    TOPIC_DELETION_DISABLED = 73, Final, "errors.TopicDeletionDisabledException",
        "Topic deletion is disabled.";
    FENCED_LEADER_EPOCH = 74, Refresh, "errors.FencedLeaderEpochException",
        "The leader epoch in the request is older than the epoch on the broker.";
    UNKNOWN_LEADER_EPOCH = 75, Retry, "errors.UnknownLeaderEpochException",
        "The leader epoch in the request is newer than the epoch on the broker.";
    UNSUPPORTED_COMPRESSION_TYPE = 76, Final, "errors.UnsupportedCompressionTypeException",
        "The requesting client does not support the compression type of given partition.";
    STALE_BROKER_EPOCH = 77, Final, "errors.StaleBrokerEpochException",
        "Broker epoch has changed.";
    OFFSET_NOT_AVAILABLE = 78, Retry, "errors.OffsetNotAvailableException",
        "The leader high watermark has not caught up from a recent leader election so the offsets cannot be \
         guaranteed to be monotonically increasing.";
    MEMBER_ID_REQUIRED = 79, Final, "errors.MemberIdRequiredException",
        "The group member needs to have a valid member id before actually entering a consumer group.";
    PREFERRED_LEADER_NOT_AVAILABLE = 80, Refresh, "errors.PreferredLeaderNotAvailableException",
        "The preferred leader was not available.";
    GROUP_MAX_SIZE_REACHED = 81, Final, "errors.GroupMaxSizeReachedException",
        "The consumer group has reached its max size.";
    FENCED_INSTANCE_ID = 82, Final, "errors.FencedInstanceIdException",
        "The broker rejected this static consumer since another consumer with the same group.instance.id has \
         registered with a different member.id.";
    ELIGIBLE_LEADERS_NOT_AVAILABLE = 83, Refresh, "errors.EligibleLeadersNotAvailableException",
        "Eligible topic partition leaders are not available.";
    ELECTION_NOT_NEEDED = 84, Refresh, "errors.ElectionNotNeededException",
        "Leader election not needed for topic partition.";
    NO_REASSIGNMENT_IN_PROGRESS = 85, Final, "errors.NoReassignmentInProgressException",
        "No partition reassignment is in progress.";
    GROUP_SUBSCRIBED_TO_TOPIC = 86, Final, "errors.GroupSubscribedToTopicException",
        "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it.";
    INVALID_RECORD = 87, Final, "InvalidRecordException",
        "This record has failed the validation on broker and hence will be rejected.";
    UNSTABLE_OFFSET_COMMIT = 88, Retry, "errors.UnstableOffsetCommitException",
        "There are unstable offsets that need to be cleared.";
    THROTTLING_QUOTA_EXCEEDED = 89, Retry, "errors.ThrottlingQuotaExceededException",
        "The throttling quota has been exceeded.";
    PRODUCER_FENCED = 90, Final, "errors.ProducerFencedException",
        "There is a newer producer with the same transactionalId which fences the current one.";
    RESOURCE_NOT_FOUND = 91, Final, "errors.ResourceNotFoundException",
        "A request illegally referred to a resource that does not exist.";
    DUPLICATE_RESOURCE = 92, Final, "errors.DuplicateResourceException",
        "A request illegally referred to the same resource twice.";
    UNACCEPTABLE_CREDENTIAL = 93, Final, "errors.UnacceptableCredentialException",
        "Requested credential would not meet criteria for acceptability.";
    INCONSISTENT_VOTER_SET = 94, Final, "errors.InconsistentVoterSetException",
        "Indicates that the either the sender or recipient of a voter-only request is not one of the expected \
         voters";
    INVALID_UPDATE_VERSION = 95, Final, "errors.InvalidUpdateVersionException",
        "The given update version was invalid.";
    FEATURE_UPDATE_FAILED = 96, Final, "errors.FeatureUpdateFailedException",
        "Unable to update finalized features due to an unexpected server error.";
}

impl ErrorCode {
    /// Whether nothing went wrong.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether something went wrong.
    pub const fn is_error(self) -> bool {
        self.0 != 0
    }

    /// The upstream name, as `NOT_LEADER_OR_FOLLOWER`; that of -1 for unknown codes, as the Java client does.
    pub fn name(self) -> &'static str {
        self.known().name
    }

    /// The upstream text; empty for 0.
    pub fn message(self) -> &'static str {
        self.known().message
    }

    /// The upstream exception, as `org.apache.kafka.common.errors.TimeoutException`; empty for 0. The tools print it.
    pub fn exception(self) -> String {
        match self.known().exception {
            "" => String::new(),
            class => format!("org.apache.kafka.common.{class}"),
        }
    }

    /// Whether trying again may help.
    pub fn is_retriable(self) -> bool {
        self.known().remedy != Remedy::Final
    }

    /// Whether the client's metadata is out of date.
    pub fn invalidates_metadata(self) -> bool {
        self.known().remedy == Remedy::Refresh
    }

    fn known(self) -> Entry {
        self.entry().or_else(|| Self::UNKNOWN_SERVER_ERROR.entry()).expect("the table holds -1")
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry() {
            Some(entry) => formatter.write_str(entry.name),
            None => write!(formatter, "ErrorCode({})", self.0),
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole_and_ascending() {
        assert_eq!(ErrorCode::ALL.len(), 98);
        let codes: Vec<i16> = ErrorCode::ALL.iter().map(|code| code.0).collect();
        assert_eq!(codes, (-1..=96).collect::<Vec<_>>());
        assert!(ErrorCode::ALL.iter().filter(|code| code.is_error()).all(|code| !code.message().is_empty()));
    }

    #[test]
    fn codes_say_what_a_client_does() {
        assert!(ErrorCode::NOT_LEADER_OR_FOLLOWER.invalidates_metadata());
        assert!(ErrorCode::REQUEST_TIMED_OUT.is_retriable());
        assert!(!ErrorCode::REQUEST_TIMED_OUT.invalidates_metadata());
        assert!(!ErrorCode::MESSAGE_TOO_LARGE.is_retriable());
        assert_eq!(ErrorCode::REQUEST_TIMED_OUT.exception(), "org.apache.kafka.common.errors.TimeoutException");
        assert_eq!(format!("{:?} {:?}", ErrorCode(7), ErrorCode(999)), "REQUEST_TIMED_OUT ErrorCode(999)");
        assert_eq!(ErrorCode(999).name(), "UNKNOWN_SERVER_ERROR");
    }
}
