//! ApiVersions (key 18, versions 0 to 3): what this broker serves.
//!
//! A request in an unknown version is answered in version 0 with UNSUPPORTED_VERSION and the versions of ApiVersions alone, so
//! that the client asks again (KIP-511). Version 3 names the client's software, and is refused if those names are not plain.

use base::Str;
use kafka_proto::messages::api_versions::{ApiVersion, Request, Response};
use kafka_proto::{ApiKey, ErrorCode};

use super::SERVED;
use crate::answer::Answer;
use crate::dispatch::Context;

#[expect(clippy::needless_pass_by_value, reason = "all handlers have one signature")]
pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    if context.version >= 3 {
        if !is_plain(&request.client_software_name) || !is_plain(&request.client_software_version) {
            let response = Response { error_code: ErrorCode::INVALID_REQUEST, ..Response::default() };
            return answer.send(&response);
        }
        let names = (request.client_software_name.to_string(), request.client_software_version.to_string());
        *context.client.software.lock() = Some(names);
    }
    let features_epoch = context.broker.features_epoch();
    let api_keys = SERVED.iter().copied().map(entry).collect();
    answer.send(&Response { api_keys, finalized_features_epoch: features_epoch, ..Response::default() });
}

/// Answers a version that is not known.
pub(crate) fn answer_unknown_version(_: &Context<'_>, answer: Answer) {
    let response = Response {
        error_code: ErrorCode::UNSUPPORTED_VERSION,
        api_keys: vec![entry(ApiKey::ApiVersions)],
        ..Response::default()
    };
    answer.send_as(&response, Some(0));
}

fn entry(key: ApiKey) -> ApiVersion {
    let versions = key.versions();
    ApiVersion { api_key: key.code(), min_version: versions.first, max_version: versions.last }
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`
fn is_plain(name: &Str) -> bool {
    let inner = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.');
    let outer = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    outer(name.chars().next()) && outer(name.chars().next_back()) && name.chars().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names() {
        for good in ["a", "apache-kafka-java", "2.7.1", "x9"] {
            assert!(is_plain(&Str::from(good)), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "ü"] {
            assert!(!is_plain(&Str::from(bad)), "{bad}");
        }
    }
}
