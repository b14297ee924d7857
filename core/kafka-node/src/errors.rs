//! What goes wrong below becomes an error code of the protocol here, and nowhere else.

use kafka_log::LogError;
use kafka_log::validate::InvalidRecords;
use kafka_proto::ErrorCode;
use kafka_replica::ReplicaError;

/// The code for a log's error.
pub(crate) fn of_log(error: &LogError) -> ErrorCode {
    match error {
        LogError::OffsetOutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
        LogError::Invalid(error) => of_records(error),
        LogError::BatchTooLarge { .. } => ErrorCode::RECORD_LIST_TOO_LARGE,
        LogError::OutOfOrderSequence { .. } => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        LogError::InvalidProducerEpoch { .. } => ErrorCode::INVALID_PRODUCER_EPOCH,
        LogError::InvalidTransactionState { .. } => ErrorCode::INVALID_TXN_STATE,
        LogError::TransactionCoordinatorFenced { .. } => ErrorCode::TRANSACTION_COORDINATOR_FENCED,
        LogError::NoTimestamps { .. } => ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT,
        LogError::AppendsRefused { .. }
        | LogError::Closed { .. }
        | LogError::Offline { .. }
        | LogError::Storage { .. } => ErrorCode::KAFKA_STORAGE_ERROR,
        LogError::UnexpectedAppendOffset { .. }
        | LogError::Cold
        | LogError::Start(_)
        | LogError::Halted(_)
        | LogError::Metadata { .. } => ErrorCode::UNKNOWN_SERVER_ERROR,
    }
}

/// The code for a replica's refusal.
pub(crate) const fn of_replica(error: ReplicaError) -> ErrorCode {
    ErrorCode(error.code())
}

/// The code for records that were refused.
pub(crate) const fn of_records(error: &InvalidRecords) -> ErrorCode {
    ErrorCode(error.code())
}
