//! The producer and the records under way in it, on librdkafka's C interface.
//!
//! `rdkafka`'s own `send` copies every value, makes a C string of the topic's and every header's name and looks the topic up for
//! each record; its delivery callback counts references for each. Here a topic is a handle, values are lent, and delivery
//! reports are read from their event: that is a quarter less CPU a record, measured with four headers.
//!
//! Values are lent to librdkafka out of their [`Block`]; [`Outbox`] holds a block until each of its records has been reported
//! on, or until the producer is gone.
#![allow(unsafe_code)] // calls of librdkafka that `rdkafka` does not offer

use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_void};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext, PurgeConfig};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use weir_api::{Block, BlockId, Record};

/// Events read by one call of [`Outbox::poll`]; each may report on thousands of records.
const EVENTS_A_POLL: usize = 32;

/// A topic known to an [`Outbox`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TopicId(usize);

/// Why a record was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    /// the record's bytes do not lie in its block, or it is not the next one
    Malformed,
    Failed(RDKafkaErrorCode),
}

/// What librdkafka had to say.
#[derive(Debug)]
pub(crate) enum Notice {
    /// a record that will not be delivered
    Undelivered { code: RDKafkaErrorCode, topic: String, partition: i32 },
    /// something about the client as a whole
    Trouble { code: RDKafkaErrorCode, reason: String },
}

/// librdkafka's log, as tracing events.
pub(crate) struct Log;

/// A block with records that are under way or not yet taken.
struct Held {
    block: Arc<Block>,
    /// the first record not taken yet
    taken: usize,
    /// records not reported on yet
    left: usize,
}

/// See the module.
pub(crate) struct Outbox {
    // The producer goes before what it borrows: fields are dropped in this order.
    producer: BaseProducer<Log>,
    queue: *mut native::rd_kafka_queue_t,
    topics: Vec<*mut native::rd_kafka_topic_t>,
    held: VecDeque<Held>,
    /// number of the first block in `held`; a record's opaque is the number of its block
    first: usize,
    under_way: usize,
}

// SAFETY: librdkafka's handles may be used from any thread; the Outbox itself is used by one at a time (`&mut`).
unsafe impl Send for Outbox {}

// === impl Log ===

impl ClientContext for Log {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level as i32, facility, message);
    }
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Log {
    type DeliveryOpaque = usize;
    fn delivery(&self, _: &DeliveryResult<'_>, _: usize) {}
}

// === impl Outbox ===

impl Outbox {
    pub(crate) fn open(config: &ClientConfig) -> Result<Outbox, KafkaError> {
        let producer = BaseProducer::from_config_and_context(config, Log)?;
        // SAFETY: the producer is alive; the queue is given back in `drop`, before the producer goes.
        let queue = unsafe { native::rd_kafka_queue_get_main(producer.client().native_ptr()) };
        Ok(Outbox { producer, queue, topics: Vec::new(), held: VecDeque::new(), first: 0, under_way: 0 })
    }

    pub(crate) fn topic(&mut self, name: &str) -> Result<TopicId, RDKafkaErrorCode> {
        let name = CString::new(name).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
        // SAFETY: the producer is alive and the name ends with a zero; librdkafka copies it. A null configuration is allowed.
        let topic = unsafe { native::rd_kafka_topic_new(self.client(), name.as_ptr(), ptr::null_mut()) };
        if topic.is_null() {
            return Err(RDKafkaErrorCode::InvalidTopic);
        }
        self.topics.push(topic);
        Ok(TopicId(self.topics.len() - 1))
    }

    /// Records taken and not yet reported on.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way
    }

    /// Whether the cluster has answered, waiting for it as long as `wait`.
    pub(crate) fn reached(&self, wait: Duration) -> bool {
        self.producer.client().fetch_cluster_id(wait).is_some()
    }

    /// What made the producer stop for good, if anything did.
    pub(crate) fn fatal(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.producer.client().fatal_error()
    }

    /// Forgets all that was not written yet; each record of it is reported as undelivered.
    pub(crate) fn purge(&self) {
        self.producer.purge(PurgeConfig::default().queue().inflight());
    }

    /// Takes record `i` of a block. Records of a block are sent in order, and a block after all of the one before it.
    pub(crate) fn send(&mut self, block: &Arc<Block>, i: usize, topic: TopicId) -> Result<(), Refusal> {
        let Some(record) = block.records.get(i) else { return Err(Refusal::Malformed) };
        let Some(topic) = self.topics.get(topic.0).copied() else { return Err(Refusal::Malformed) };
        if !self.held.back().is_some_and(|h| Arc::ptr_eq(&h.block, block)) {
            self.held.push_back(Held { block: block.clone(), taken: i, left: block.records.len() - i });
        }
        if self.held.back().is_none_or(|h| h.taken != i) {
            return Err(Refusal::Malformed);
        }
        let number = self.first + self.held.len() - 1;
        self.produce(block, record, topic, number)?;
        if let Some(held) = self.held.back_mut() {
            held.taken += 1;
        }
        self.under_way += 1;
        Ok(())
    }

    fn produce(
        &self,
        block: &Block,
        record: &Record,
        topic: *mut native::rd_kafka_topic_t,
        number: usize,
    ) -> Result<(), Refusal> {
        use native::{rd_kafka_vtype_t as vtype, rd_kafka_vu_s__bindgen_ty_1 as union, rd_kafka_vu_t};
        let (key, value) = (block.key(record), block.value(record));
        if (key.is_none() && record.has & Record::KEY != 0) || (value.is_none() && record.has & Record::VALUE != 0) {
            return Err(Refusal::Malformed);
        }
        let headers = headers(block, record)?;
        let memory = |bytes: Option<&[u8]>| union {
            mem: native::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
                ptr: bytes.map_or(ptr::null_mut(), |b| b.as_ptr().cast_mut().cast()),
                size: bytes.map_or(0, <[u8]>::len),
            },
        };
        // 0 is librdkafka's word for "now".
        let timestamp = if record.timestamp == Record::NO_TIMESTAMP { 0 } else { record.timestamp };
        let arguments = [
            rd_kafka_vu_t { vtype: vtype::RD_KAFKA_VTYPE_RKT, u: union { rkt: topic } },
            rd_kafka_vu_t { vtype: vtype::RD_KAFKA_VTYPE_PARTITION, u: union { i32_: record.partition } },
            // No flag: the value is neither copied nor freed; it stays ours.
            rd_kafka_vu_t { vtype: vtype::RD_KAFKA_VTYPE_MSGFLAGS, u: union { i: 0 } },
            rd_kafka_vu_t { vtype: vtype::RD_KAFKA_VTYPE_KEY, u: memory(key) },
            rd_kafka_vu_t { vtype: vtype::RD_KAFKA_VTYPE_VALUE, u: memory(value) },
            rd_kafka_vu_t { vtype: vtype::RD_KAFKA_VTYPE_TIMESTAMP, u: union { i64_: timestamp } },
            rd_kafka_vu_t { vtype: vtype::RD_KAFKA_VTYPE_OPAQUE, u: union { ptr: number as *mut c_void } },
            rd_kafka_vu_t { vtype: vtype::RD_KAFKA_VTYPE_HEADERS, u: union { headers } },
        ];
        let count = if headers.is_null() { arguments.len() - 1 } else { arguments.len() };
        // SAFETY: `count` arguments, each tagged with the member that was written. The key is copied; the value lies in a
        // block that `held` keeps until this record is reported on. On success librdkafka owns the headers.
        let error = unsafe { native::rd_kafka_produceva(self.client(), arguments.as_ptr(), count) };
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: `error` is ours to read and free; after a failure the headers, if any, are still ours.
        let code = unsafe {
            let code = native::rd_kafka_error_code(error);
            native::rd_kafka_error_destroy(error);
            if !headers.is_null() {
                native::rd_kafka_headers_destroy(headers);
            }
            code
        };
        match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__QUEUE_FULL => Err(Refusal::Full),
            code => Err(Refusal::Failed(code.into())),
        }
    }

    /// Waits for news at most `wait`, then reads all there is: ids of blocks all of whose records were written go to `done`.
    pub(crate) fn poll(&mut self, wait: Duration, done: &mut Vec<BlockId>, notices: &mut Vec<Notice>) {
        let mut millis = i32::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        for _ in 0..EVENTS_A_POLL {
            // SAFETY: the queue lives until `drop`; the event is ours until it is destroyed below.
            let event = unsafe { native::rd_kafka_queue_poll(self.queue, millis) };
            if event.is_null() {
                break;
            }
            millis = 0;
            // SAFETY: as above; each reader is called for its own type of event.
            unsafe {
                match native::rd_kafka_event_type(event) {
                    native::RD_KAFKA_EVENT_DR => self.reports(event, done, notices),
                    native::RD_KAFKA_EVENT_ERROR => notices.push(trouble(event)),
                    native::RD_KAFKA_EVENT_LOG => log(event),
                    _ => {}
                }
                native::rd_kafka_event_destroy(event);
            }
        }
    }

    /// SAFETY: `event` is a live event of type DR.
    unsafe fn reports(
        &mut self,
        event: *mut native::rd_kafka_event_t,
        done: &mut Vec<BlockId>,
        notices: &mut Vec<Notice>,
    ) {
        loop {
            // SAFETY: by contract; a message lives as long as its event.
            let message = unsafe { native::rd_kafka_event_message_next(event).as_ref() };
            let Some(message) = message else { break };
            self.under_way = self.under_way.saturating_sub(1);
            if message.err == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                self.written(message._private as usize);
            } else {
                let code = message.err.into();
                // SAFETY: a report's topic is alive and its name ends with a zero.
                let topic = unsafe { CStr::from_ptr(native::rd_kafka_topic_name(message.rkt)) };
                let topic = topic.to_string_lossy().into_owned();
                notices.push(Notice::Undelivered { code, topic, partition: message.partition });
            }
        }
        // A block whose record was not written never counts to 0 and stays here, with all behind it, until the producer goes.
        while self.held.front().is_some_and(|h| h.left == 0) {
            self.first += 1;
            done.extend(self.held.pop_front().map(|h| h.block.id));
        }
    }

    fn written(&mut self, number: usize) {
        if let Some(held) = number.checked_sub(self.first).and_then(|i| self.held.get_mut(i)) {
            held.left = held.left.saturating_sub(1);
        }
    }

    fn client(&self) -> *mut native::rd_kafka_t {
        self.producer.client().native_ptr()
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        // SAFETY: each handle was made by this producer, which is still alive, and is given back once.
        unsafe {
            for topic in self.topics.drain(..) {
                native::rd_kafka_topic_destroy(topic);
            }
            native::rd_kafka_queue_destroy(self.queue);
        }
    }
}

/// A header list of a record that the caller owns; null for a route without headers.
fn headers(block: &Block, record: &Record) -> Result<*mut native::rd_kafka_headers_t, Refusal> {
    let count = block.route(record).ok_or(Refusal::Malformed)?.headers.len();
    if count == 0 {
        return Ok(ptr::null_mut());
    }
    // SAFETY: no condition.
    let list = unsafe { native::rd_kafka_headers_new(count) };
    for (name, value) in block.headers(record) {
        let (at, size) = value.map_or((ptr::null(), 0), |v| (v.as_ptr(), v.len() as isize));
        // SAFETY: name and value are given with their lengths, and copied.
        unsafe { native::rd_kafka_header_add(list, name.as_ptr().cast(), name.len() as isize, at.cast(), size) };
    }
    Ok(list)
}

/// SAFETY: `event` is a live event of type ERROR.
unsafe fn trouble(event: *mut native::rd_kafka_event_t) -> Notice {
    // SAFETY: by contract; the text ends with a zero and lives as long as the event.
    let (code, reason) =
        unsafe { (native::rd_kafka_event_error(event), CStr::from_ptr(native::rd_kafka_event_error_string(event))) };
    Notice::Trouble { code: code.into(), reason: reason.to_string_lossy().trim().to_owned() }
}

/// SAFETY: `event` is a live event of type LOG.
unsafe fn log(event: *mut native::rd_kafka_event_t) {
    let (mut facility, mut text, mut level) = (ptr::null(), ptr::null(), 0);
    // SAFETY: by contract; on success both texts end with a zero and live as long as the event.
    unsafe {
        if native::rd_kafka_event_log(event, &raw mut facility, &raw mut text, &raw mut level) == 0 {
            log_line(level, &CStr::from_ptr(facility).to_string_lossy(), CStr::from_ptr(text).to_string_lossy().trim());
        }
    }
}

/// `level` is syslog's: 3 is an error, 5 a notice.
fn log_line(level: i32, facility: &str, message: &str) {
    match level {
        ..=3 => tracing::warn!(target: "weir::kafka", facility, "{message}"),
        4..=5 => tracing::info!(target: "weir::kafka", facility, "{message}"),
        _ => tracing::debug!(target: "weir::kafka", facility, "{message}"),
    }
}
