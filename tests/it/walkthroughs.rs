//! docs/walkthroughs.md is carried out as it is written: every call is made, and every answer looked at.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::collections::HashMap;

use bytes::{Buf as _, BufMut as _};
use guardian_auth::domain::staff::Role;
use guardian_auth::proto;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, SerializeOptions};
use serde_json::Value;
use tonic::Status;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::service::interceptor::InterceptedService;

use crate::login_bankid::bed::{Bed, persona};
use crate::support::service::{KOMMUN, Parts, reason};
use crate::support::staff::{Staff, StaffTokens, hire};

const DOCUMENT: &str = include_str!("../../docs/walkthroughs.md");

/// A fenced block: the words behind the fence, and what is inside.
struct Block {
    words: Vec<String>,
    text: String,
}

/// The walkthroughs by heading, each with its blocks.
fn walkthroughs() -> Vec<(String, Vec<Block>)> {
    let sections = DOCUMENT.split("\n## ").skip(1).filter(|section| section.contains("```json call"));
    sections
        .map(|section| {
            let (heading, rest) = section.split_once('\n').unwrap();
            let mut blocks = Vec::new();
            for fenced in rest.split("\n```").skip(1).step_by(2) {
                let (words, text) = fenced.split_once('\n').unwrap();
                let words = words.split_whitespace().map(str::to_owned).collect();
                blocks.push(Block { words, text: text.to_owned() });
            }
            (heading.to_owned(), blocks)
        })
        .collect()
}

/// Bytes in, bytes out.
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
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
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; from.remaining()];
        from.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}

/// One walkthrough under way.
struct Walk {
    heading: String,
    bed: Bed,
    staff: HashMap<&'static str, Staff>,
    kept: HashMap<String, String>,
    last: Result<Value, String>,
}

fn method(name: &str) -> MethodDescriptor {
    let pool = DescriptorPool::decode(proto::DESCRIPTOR_SET).unwrap();
    let (service, method) = name.split_once('/').unwrap();
    let service = pool.get_service_by_name(&format!("guardian.auth.v1.{service}")).unwrap();
    service.methods().find(|it| it.name() == method).unwrap_or_else(|| panic!("{name} is no rpc"))
}

impl Walk {
    async fn begin(heading: &str, parts: Parts, directory: &str) -> Self {
        let rows: Vec<Value> = directory.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let bed = Bed::start_on_directory(parts, &rows, |_| {}).await;
        let mut staff = HashMap::new();
        staff.insert("school", hire(&bed.service, KOMMUN, Role::SchoolAdministrator, &["s-1"]).await);
        staff.insert("support", hire(&bed.service, KOMMUN, Role::SupportPerson, &["s-1"]).await);
        staff.insert("administrator", hire(&bed.service, KOMMUN, Role::OrganizationAdministrator, &[]).await);
        let last = Err("nothing was called yet".to_owned());
        Self { heading: heading.to_owned(), bed, staff, kept: HashMap::new(), last }
    }

    /// What was kept stands for its `${name}`.
    fn filled(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.kept {
            text = text.replace(&format!("${{{name}}}"), value);
        }
        assert!(!text.contains("${"), "{}: nothing was kept for {text}", self.heading);
        text
    }

    async fn call(&mut self, actor: &str, rpc: &str, json: &str) {
        let method = method(rpc);
        let json = self.filled(json);
        let mut reader = serde_json::Deserializer::from_str(&json);
        let request = DynamicMessage::deserialize(method.input(), &mut reader);
        let request = request.unwrap_or_else(|error| panic!("{}: {rpc}: {error}", self.heading));
        let service = &self.bed.service;
        let tokens = match self.staff.get(actor) {
            Some(staff) => StaffTokens::new(&service.token(&format!("{KOMMUN}-admin")), Some(&staff.token)),
            None if actor == "portal" => StaffTokens::new(&service.token(&format!("{KOMMUN}-portal")), None),
            None => panic!("{}: nobody is called {actor}", self.heading),
        };
        let mut client = Grpc::new(InterceptedService::new(service.channel().await, tokens));
        client.ready().await.unwrap();
        let path = http::uri::PathAndQuery::try_from(format!("/guardian.auth.v1.{rpc}")).unwrap();
        let answer = client.unary(tonic::Request::new(request.encode_to_vec()), path, Raw).await;
        self.last = match answer {
            Err(status) => Err(reason(&status)),
            Ok(answer) => {
                let bytes = answer.into_inner();
                let message = DynamicMessage::decode(method.output(), bytes.as_slice()).unwrap();
                let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);
                Ok(message.serialize_with_options(serde_json::value::Serializer, &options).unwrap())
            }
        };
    }

    /// The guardian logs in with BankID at the portal `parent`.
    async fn bankid(&mut self, number: &str) {
        let (browser, nonce) = self.bed.signed(proto::BankIdDevice::Other, &persona(number)).await;
        self.last = match browser.complete(&nonce).await {
            Ok(_) => Ok(Value::String("session".to_owned())),
            Err(status) => Err(reason(&status)),
        };
    }

    /// Lines of `path = value`, `path -> name`, `refused REASON` or `session`.
    fn answer(&mut self, text: &str) {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let what = format!("{}: {line}: {:?}", self.heading, self.last);
            if let Some(reason) = line.strip_prefix("refused ") {
                assert_eq!(self.last.as_ref().err().map(String::as_str), Some(reason), "{what}");
                continue;
            }
            let answer = self.last.as_ref().unwrap_or_else(|_| panic!("{what}"));
            if line == "session" {
                assert_eq!(answer, "session", "{what}");
            } else if let Some((path, name)) = line.split_once(" -> ") {
                let found = answer.pointer(&pointer(path)).unwrap_or_else(|| panic!("{what}"));
                self.kept
                    .insert(name.to_owned(), found.as_str().unwrap_or_else(|| panic!("{what}")).to_owned());
            } else {
                let (path, value) = line.split_once(" = ").unwrap_or_else(|| panic!("{what}"));
                let found = answer.pointer(&pointer(path)).unwrap_or_else(|| panic!("{what}"));
                let value: Value =
                    serde_json::from_str(&self.filled(value)).unwrap_or_else(|_| panic!("{what}"));
                assert_eq!(found, &value, "{what}");
            }
        }
    }
}

/// `guardians[0].guardian_id` as a JSON pointer.
fn pointer(path: &str) -> String {
    format!("/{}", path.replace("].", "/").replace(['.', '['], "/").replace(']', ""))
}

#[tokio::test]
async fn every_walkthrough_leads_where_it_says() {
    let walkthroughs = walkthroughs();
    assert!(walkthroughs.len() >= 7, "one for each paragraph of the article, the last one has two");
    for parts in Parts::ALL {
        for (heading, blocks) in &walkthroughs {
            let words = |block: &Block| block.words.join(" ");
            let directory = blocks.iter().find(|it| words(it) == "jsonl directory").expect("a directory");
            let mut walk = Walk::begin(heading, parts, &directory.text).await;
            let mut calls = 0;
            for block in blocks {
                let words: Vec<&str> = block.words.iter().map(String::as_str).collect();
                match words.as_slice() {
                    ["json", "call", actor, rpc] => {
                        walk.call(actor, rpc, &block.text).await;
                        calls += 1;
                    }
                    ["text", "bankid", number] => walk.bankid(number).await,
                    ["text", "answer"] => walk.answer(&block.text),
                    ["jsonl", "directory"] => {}
                    ["jsonl", "import"] => {
                        let rows: Vec<Value> =
                            block.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
                        walk.bed.service.import_with(&walk.bed.config(), KOMMUN, &rows).await;
                    }
                    other => panic!("{heading}: what is {other:?}?"),
                }
            }
            assert!(calls >= 2, "{heading} calls nobody");
        }
    }
}
