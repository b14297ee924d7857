//! From a frame to its API: version check, decoding, the module that handles it (upstream: `KafkaApis.handle`).

use std::cell::RefCell;
use std::sync::Arc;

use base::{Now, Reader, Str};
use kafka_proto::{ApiKey, Request};

use crate::answer::Answer;
use crate::api;
use crate::api::produce;
use crate::broker::Broker;
use crate::connection::Client;

/// What a handler knows beside its request.
pub(crate) struct Context<'a> {
    pub(crate) broker: &'a Arc<Broker>,
    pub(crate) client: &'a Arc<Client>,
    /// How the client calls itself; null is possible.
    pub(crate) client_id: Option<Str>,
    /// Version of the request.
    pub(crate) version: i16,
    pub(crate) now: Now,
    /// The produce requests that came with it.
    pub(crate) produces: &'a RefCell<produce::Run>,
}

/// Hands a request to its module. An error ends the connection, and is its reason.
pub(crate) fn dispatch(
    context: &Context<'_>,
    key: ApiKey,
    reader: &mut Reader<'_>,
    answer: Answer,
) -> Result<(), String> {
    let version = context.version;
    if !api::served_versions(key).is_some_and(|versions| versions.contains(version)) {
        if key == ApiKey::ApiVersions {
            api::api_versions::answer_unknown_version(context, answer);
            return Ok(());
        }
        return Err(format!(
            "Received request for API with key {} (type {key}), but version {version} is not supported",
            key.code()
        ));
    }
    api::handle(context, key, reader, answer)
}

/// Decodes a request and calls its handler.
pub(crate) fn call<R: Request>(
    context: &Context<'_>,
    reader: &mut Reader<'_>,
    answer: Answer,
    handle: impl FnOnce(&Context<'_>, R, Answer),
) -> Result<(), String> {
    match R::decode(context.version, reader) {
        Ok(request) => {
            handle(context, request, answer);
            Ok(())
        }
        Err(error) => Err(format!(
            "Error getting request for apiKey: {}, apiVersion: {}, connectionId: {}: {error}",
            R::KEY,
            context.version,
            context.client.peer
        )),
    }
}
