//! All orders, and what was asked: behind one lock.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::body::{OrderBody, StartBody};
use super::fault::{Endpoint, Fault};
use super::order::{CODE_SLACK, CodeCheck, Order, Stage};
use super::person::Persona;
use super::{DriverError, Rate, RecordedRequest};
use crate::domain::time::Timestamp;
use crate::ports::entropy::{Entropy, random_bytes};

/// Requests that are remembered: the newest.
const MOST_RECORDED: usize = 10_000;

/// What is answered to a request.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Value,
}

impl Reply {
    pub(super) fn error(status: u16, code: &str, details: &str) -> Self {
        Self { status, headers: Vec::new(), body: json!({ "errorCode": code, "details": details }) }
    }

    fn invalid(details: &str) -> Self {
        Self::error(400, "invalidParameters", details)
    }

    fn ok(body: Value) -> Self {
        Self { status: 200, headers: Vec::new(), body }
    }
}

/// Orders, faults, what was asked.
pub(super) struct State {
    entropy: Arc<dyn Entropy>,
    pub(super) orders: Vec<Order>,
    pub(super) requests: VecDeque<RecordedRequest>,
    faults: HashMap<Endpoint, VecDeque<Fault>>,
    pub(super) rate: Option<Rate>,
    /// How old a code may be that is scanned.
    pub(super) code_slack: Duration,
    /// When the window of the rate began, and the requests in it.
    window: (Timestamp, u32),
}

impl State {
    pub(super) fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self {
            entropy,
            orders: Vec::new(),
            requests: VecDeque::new(),
            faults: HashMap::new(),
            rate: None,
            code_slack: CODE_SLACK,
            window: (Timestamp::from_millis(0), 0),
        }
    }

    pub(super) fn inject(&mut self, endpoint: Endpoint, fault: Fault) {
        self.faults.entry(endpoint).or_default().push_back(fault);
    }

    pub(super) fn next_fault(&mut self, endpoint: Endpoint) -> Option<Fault> {
        self.faults.get_mut(&endpoint)?.pop_front()
    }

    pub(super) fn record(&mut self, request: RecordedRequest) {
        if self.requests.len() == MOST_RECORDED {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }

    /// Lets time pass.
    pub(super) fn settle(&mut self, now: Timestamp) {
        for order in &mut self.orders {
            order.settle(now);
        }
        self.orders.retain(|order| !order.is_gone(now));
    }

    /// The answer to one request too many, if this is one.
    pub(super) fn too_many(&mut self, now: Timestamp) -> Option<Reply> {
        let rate = self.rate?;
        if now.since(self.window.0) >= rate.window {
            self.window = (now, 0);
        }
        self.window.1 += 1;
        if self.window.1 <= rate.requests {
            return None;
        }
        let left = rate.window.saturating_sub(now.since(self.window.0));
        let headers = vec![
            ("RateLimit-Limit", rate.requests.to_string()),
            ("RateLimit-Remaining", "0".to_owned()),
            ("RateLimit-Reset", left.as_millis().div_ceil(Duration::from_secs(1).as_millis()).to_string()),
        ];
        Some(Reply { headers, ..Reply::error(429, "tooManyRequests", "Too many requests") })
    }

    /// Does what a well-formed request asks. `owner` is the certificate that asks.
    pub(super) fn answer(&mut self, endpoint: Endpoint, owner: &[u8], bytes: &[u8], now: Timestamp) -> Reply {
        self.settle(now);
        match endpoint {
            Endpoint::Auth => self.begin(StartBody::read(bytes, false), owner, now),
            Endpoint::Sign => self.begin(StartBody::read(bytes, true), owner, now),
            Endpoint::Collect => match self.asked(owner, bytes) {
                Some(at) if self.orders[at].is_pending() => Reply::ok(self.orders[at].collected()),
                // How it ended is told once.
                Some(at) => Reply::ok(self.orders.swap_remove(at).collected()),
                None => Reply::invalid("No such order"),
            },
            Endpoint::Cancel => match self.asked(owner, bytes).filter(|at| self.orders[*at].is_pending()) {
                Some(at) => {
                    self.orders.swap_remove(at);
                    Reply::ok(json!({}))
                }
                None => Reply::invalid("No such order"),
            },
        }
    }

    fn begin(&mut self, body: Result<StartBody, &'static str>, owner: &[u8], now: Timestamp) -> Reply {
        let body = match body {
            Ok(body) => body,
            Err(why) => return Reply::invalid(why),
        };
        let order = Order {
            order_ref: self.uuid(),
            autostart_token: self.uuid(),
            qr_start_token: self.uuid(),
            qr_start_secret: self.uuid(),
            owner: owner.to_vec(),
            begun: now,
            body,
            stage: Stage::Waiting,
            hint: None,
        };
        let reply = Reply::ok(json!({
            "orderRef": order.order_ref,
            "autoStartToken": order.autostart_token,
            "qrStartToken": order.qr_start_token,
            "qrStartSecret": order.qr_start_secret,
        }));
        self.orders.push(order);
        reply
    }

    /// The order that a body names, if it is that certificate's.
    fn asked(&self, owner: &[u8], bytes: &[u8]) -> Option<usize> {
        let body: OrderBody = serde_json::from_slice(bytes).ok()?;
        self.orders.iter().position(|order| order.order_ref == body.order_ref && order.owner == owner)
    }

    fn uuid(&self) -> String {
        let mut bytes: [u8; 16] = random_bytes(&*self.entropy);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let digits = format!("{:032x}", u128::from_be_bytes(bytes));
        let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default();
        [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
    }

    /// The app takes an order by its code.
    pub(super) fn scan(&mut self, text: &str, from: IpAddr, now: Timestamp) -> Result<String, DriverError> {
        let parts: Vec<&str> = text.split('.').collect();
        let ["bankid", token, second, code] = parts[..] else { return Err(DriverError::NoCode) };
        self.settle(now);
        let slack = self.code_slack;
        let order = self.orders.iter_mut().find(|order| order.qr_start_token == token);
        let order = order.ok_or(DriverError::UnknownOrder)?;
        match order.check_code(second, code, slack, now) {
            CodeCheck::Good => take(order, from, now),
            CodeCheck::Stale => Err(DriverError::StaleCode),
            CodeCheck::Wrong => Err(DriverError::NoCode),
        }
    }

    /// The app takes an order by its link.
    pub(super) fn open(&mut self, token: &str, from: IpAddr, now: Timestamp) -> Result<String, DriverError> {
        self.settle(now);
        let order = self.orders.iter_mut().find(|order| order.autostart_token == token);
        take(order.ok_or(DriverError::UnknownOrder)?, from, now)
    }

    /// A pending order.
    pub(super) fn pending(&mut self, order_ref: &str, now: Timestamp) -> Result<&mut Order, DriverError> {
        self.settle(now);
        let order = self.orders.iter_mut().find(|order| order.order_ref == order_ref);
        order
            .ok_or(DriverError::UnknownOrder)
            .and_then(|order| if order.is_pending() { Ok(order) } else { Err(DriverError::NotPending) })
    }

    /// A person is chosen in the app. Another order of the same person ends both.
    pub(super) fn identify(
        &mut self,
        order_ref: &str,
        persona: &Persona,
        now: Timestamp,
    ) -> Result<IpAddr, DriverError> {
        let order = self.pending(order_ref, now)?;
        let Stage::Open { person, from, .. } = &mut order.stage else {
            return Err(DriverError::NotOpened);
        };
        let from = *from;
        if order.body.requirement.personal_number.as_ref().is_some_and(|one| *one != persona.personal_number)
        {
            return Err(DriverError::OtherPerson);
        }
        *person = Some(persona.clone());
        let of_person = |order: &&mut Order| {
            order.person().is_some_and(|person| person.personal_number == persona.personal_number)
        };
        let mut theirs: Vec<&mut Order> = self.orders.iter_mut().filter(of_person).collect();
        if theirs.len() < 2 {
            return Ok(from);
        }
        for order in &mut theirs {
            order.fail("cancelled", now);
        }
        Err(DriverError::AlreadyInProgress)
    }
}

fn take(order: &mut Order, from: IpAddr, now: Timestamp) -> Result<String, DriverError> {
    if !matches!(order.stage, Stage::Waiting) {
        return Err(DriverError::NotPending);
    }
    order.stage = Stage::Open { since: now, from, person: None };
    order.hint = None;
    Ok(order.order_ref.clone())
}
