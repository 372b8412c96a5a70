//! Server reflection, for developers: off unless configured.

use tonic::service::Routes;
use tonic_reflection::server::{Builder, Error};

use super::front::MAX_REQUEST_BYTES;
use crate::proto;

/// Adds reflection, `v1` and the `v1alpha` that older tools ask for.
///
/// # Errors
/// If the descriptor set does not hold together: a defect of the build.
pub(super) fn add(routes: Routes) -> Result<Routes, Error> {
    let builder = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // The details of errors, so that tools show them in words.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = builder().build_v1()?.max_decoding_message_size(MAX_REQUEST_BYTES);
    let v1alpha = builder().build_v1alpha()?.max_decoding_message_size(MAX_REQUEST_BYTES);
    Ok(routes.add_service(v1).add_service(v1alpha))
}
