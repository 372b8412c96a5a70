//! Compiles the proto files with protox (no protoc needed) and keeps their descriptor set; compiles numbering plans and
//! the list of common passwords.
//!
//! Messages with a field marked `debug_redact` get a Debug of their own that omits those fields.

#[path = "build/mobile_numbers.rs"]
mod mobile_numbers;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor};

const FILES: [&str; 12] = [
    "guardian/auth/v1/common.proto",
    "guardian/auth/v1/error_reason.proto",
    "guardian/auth/v1/login.proto",
    "guardian/auth/v1/login_oidc.proto",
    "guardian/auth/v1/login_bankid.proto",
    "guardian/auth/v1/session.proto",
    "guardian/auth/v1/password.proto",
    "guardian/auth/v1/password_reset.proto",
    "guardian/auth/v1/staff.proto",
    "guardian/auth/v1/fallback_credential.proto",
    "guardian/auth/v1/guardian.proto",
    "guardian/auth/v1/child.proto",
];

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script in variables")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("mobile_numbers.bin"), mobile_numbers::compile()?)?;
    fs::write(out.join("common_passwords.fst"), common_passwords()?)?;
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_files(FILES)?;
    let set = compiler.file_descriptor_set();
    let encoded = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptor_set.bin"), &encoded)?;

    // prost-types drops `debug_redact`, so the pool reads the encoded set.
    let pool = DescriptorPool::decode(encoded.as_slice())?;
    let mut config = tonic_prost_build::Config::new();
    let mut debug = String::new();
    let mut redacted = Vec::new();
    for message in pool.all_messages().filter(|message| message.package_name() == "guardian.auth.v1") {
        if message.fields().any(|field| is_redacted(&field)) {
            redacted.push(format!(".{}", message.full_name()));
            redacted_debug(&message, &mut debug)?;
            // Skipping a message's Debug skips that of its oneofs too.
            for oneof in message.oneofs() {
                let module = snake(message.name());
                let name = camel(oneof.name());
                writeln!(debug, "impl ::core::fmt::Debug for {module}::{name} {{")?;
                writeln!(
                    debug,
                    "    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{"
                )?;
                writeln!(debug, "        f.write_str(\"{name}(…)\")\n    }}\n}}")?;
            }
        }
    }
    config.skip_debug(redacted);
    fs::write(out.join("redacted_debug.rs"), debug)?;
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .compile_fds_with_config(set, config)?;
    Ok(())
}

fn is_redacted(field: &FieldDescriptor) -> bool {
    // `FieldOptions.debug_redact` is field 16.
    field.options().get_field_by_number(16).is_some_and(|value| value.as_bool() == Some(true))
}

/// Writes a Debug that shows every plain field and only the presence of redacted ones.
fn redacted_debug(message: &MessageDescriptor, out: &mut String) -> Result<(), std::fmt::Error> {
    let name = message.name();
    writeln!(out, "impl ::core::fmt::Debug for {name} {{")?;
    writeln!(out, "    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{")?;
    writeln!(out, "        f.debug_struct(\"{name}\")")?;
    for field in message.fields().filter(|field| field.containing_oneof().is_none()) {
        let field_name = field.name();
        if is_redacted(&field) {
            writeln!(out, "            .field(\"{field_name}\", &\"…\")")?;
        } else {
            writeln!(out, "            .field(\"{field_name}\", &self.{field_name})")?;
        }
    }
    for oneof in message.oneofs() {
        writeln!(out, "            .field(\"{0}\", &self.{0})", oneof.name())?;
    }
    writeln!(out, "            .finish()\n    }}\n}}")
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for (index, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && index > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn camel(name: &str) -> String {
    name.split('_').map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}

/// The sorted lines as a set in which beginnings and ends are shared: less than half of the text, and looked up in place.
fn common_passwords() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    const LIST: &str = "src/domain/data/common_passwords.txt";
    println!("cargo::rerun-if-changed={LIST}");
    let list = fs::read_to_string(LIST)?;
    Ok(fst::Set::from_iter(list.lines())?.into_fst().into_inner())
}
