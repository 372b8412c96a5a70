//! Every rpc of staff, with the same text in each of its fields.

use bytes::{Buf as _, BufMut as _};
use guardian_auth::proto;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor, Value};
use tonic::Status;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::service::interceptor::InterceptedService;

use super::ANYWHERE;
use crate::support::service::{KOMMUN, Service};
use crate::support::staff::StaffTokens;

/// Bytes in, nothing out.
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        from.advance(from.remaining());
        Ok(Some(()))
    }
}

/// A message of this type with the canary in every text; of a choice the last member, or `first` the first one.
fn filled(descriptor: &MessageDescriptor, first: bool) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    let mut fields: Vec<_> = descriptor.fields().collect();
    if first {
        fields.reverse();
    }
    for field in fields {
        let value = match field.kind() {
            Kind::String if field.name() == "organization" => Value::String(KOMMUN.to_owned()),
            Kind::String if field.is_list() => Value::List(vec![Value::String(ANYWHERE.to_owned())]),
            Kind::String => Value::String(ANYWHERE.to_owned()),
            Kind::Enum(_) if !field.is_list() => Value::EnumNumber(1),
            Kind::Message(nested) if !field.is_list() && nested.package_name() == "guardian.auth.v1" => {
                Value::Message(filled(&nested, first))
            }
            _ => continue,
        };
        message.set_field(&field, value);
    }
    message
}

/// Calls every rpc of staff with the canary in every field; the refusals.
pub async fn fill_every_field(service: &Service, staff_token: &str, refusals: &mut Vec<Status>) {
    let pool = DescriptorPool::decode(proto::DESCRIPTOR_SET).unwrap();
    let tokens = StaffTokens::new(&service.token(&format!("{KOMMUN}-admin")), Some(staff_token));
    let mut client = Grpc::new(InterceptedService::new(service.channel().await, tokens));
    let mut called = 0;
    for name in ["StaffService", "FallbackCredentialService", "GuardianService", "ChildService"] {
        let described = pool.get_service_by_name(&format!("guardian.auth.v1.{name}")).unwrap();
        for method in described.methods() {
            for first in [false, true] {
                let message = filled(&method.input(), first).encode_to_vec();
                let path = format!("/guardian.auth.v1.{name}/{}", method.name());
                client.ready().await.unwrap();
                let path = http::uri::PathAndQuery::try_from(path).unwrap();
                refusals.extend(client.unary(tonic::Request::new(message), path, Raw).await.err());
                called += 1;
            }
        }
    }
    assert_eq!(called, 68, "every rpc of staff, twice");
}
