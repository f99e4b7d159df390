//! What may differ from stock Swift, and why.

use crate::wire::{Ending, Reply};

/// What a server did at one step.
pub(crate) type Answers = (Vec<Reply>, Option<Ending>);

/// A step where stock Swift does what nobody should do, whatever the case.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) why: &'static str,
    pub(crate) covers: fn(&Answers, &Answers) -> bool,
}

fn last(answers: &Answers) -> Option<&Reply> {
    answers.0.last()
}

fn first_final(answers: &Answers) -> Option<u16> {
    answers.0.iter().find(|reply| !reply.is_interim()).map(Reply::code)
}

fn is_refused(answers: &Answers) -> bool {
    last(answers).is_some_and(|reply| (400..500).contains(&reply.code()))
}

pub(crate) const RULES: &[Rule] = &[
    Rule {
        why: "stock raises an exception and sends its traceback, or dies of it; the request is bad and is called so",
        covers: |stock, ours| {
            let raised = |reply: &Reply| reply.body.starts_with(b"Traceback") || reply.status == "no answer";
            let empty = |reply: &Reply| reply.code() == 500 && reply.header("content-length").is_some();
            last(stock).is_some_and(|reply| raised(reply) || empty(reply)) && is_refused(ours)
        },
    },
    Rule {
        why: "what the parser refuses has a page of its own in stock, or no body and HTTP/1.0 in its first line",
        covers: |stock, ours| {
            let bare = last(stock).is_some_and(|reply| {
                reply.status.starts_with("HTTP/1.0 4") || reply.body.starts_with(b"<!DOCTYPE HTML>")
            });
            // Where the rest of a body that came too late ends it, what follows is refused by both.
            let codes = |answers: &Answers| answers.0.iter().map(Reply::code).collect::<Vec<_>>();
            let as_far = ours.1 != Some(Ending::Kept) || codes(stock) == codes(ours);
            bare && first_final(stock) == first_final(ours) && as_far
        },
    },
    Rule {
        why: "after a refusal stock takes what is left of the body for the next request, or waits for more; we close",
        covers: |stock, ours| {
            let refused = is_refused(ours) || first_final(ours) == Some(501);
            let goes_on = stock.0.len() > ours.0.len() || stock.1 == Some(Ending::Silent);
            refused && goes_on && first_final(stock) == first_final(ours) && ours.1 == Some(Ending::Closed)
        },
    },
    Rule {
        why: "the words of an error line of ssync; senders log them",
        covers: |stock, ours| match (error_line(stock), error_line(ours)) {
            (Some(before), Some(same)) => before == same && stock.1 == ours.1,
            _ => false,
        },
    },
    Rule {
        why: "beside an older tombstone we ask for later metadata with the body; stock's own handoff loses them",
        covers: |stock, ours| match (last(stock), last(ours)) {
            (Some(bare), Some(whole)) => {
                let without = String::from_utf8_lossy(&whole.body).replace(" dm\r\n", " d\r\n");
                let asked = String::from_utf8_lossy(&bare.body).contains(" d\r\n");
                asked && without.as_bytes() == bare.body && stock.1 == ours.1
            }
            _ => false,
        },
    },
];

/// What an answer to SSYNC holds up to the words of its error line. Those of a time limit depend on which process noticed first.
fn error_line(answers: &Answers) -> Option<&[u8]> {
    const MARKS: [&[u8]; 2] = [b":ERROR: 0 ", b":ERROR: 408 "];
    let body = &last(answers)?.body;
    let end_of = |mark: &[u8]| Some(body.windows(mark.len()).position(|window| window == mark)? + mark.len());
    body.get(..MARKS.into_iter().find_map(end_of)?)
}

/// A case that differs.
#[derive(Debug)]
pub(crate) struct Known {
    /// The start of its name.
    pub(crate) case: &'static str,
    /// `status`, `headers`, `body`, `ending`, `files` or `updates`.
    pub(crate) fields: &'static [&'static str],
    pub(crate) why: &'static str,
}

const ALL: &[&str] = &["status", "headers", "body", "ending", "files", "updates"];

pub(crate) const KNOWN: &[Known] = &[
    Known { case: "OPTIONS", fields: &["headers"], why: "Server tells our version" },
    Known {
        case: "Content-Length +5",
        fields: ALL,
        why: "RFC 9112 6.2: digits only; peers could disagree where the body ends",
    },
    Known {
        case: "Transfer-Encoding \"CHUNKED\"",
        fields: ALL,
        why: "RFC 9112 7: names of codings are case-insensitive",
    },
    Known {
        case: "the offer {hash}%20",
        fields: ALL,
        why: "a hash is 32 digits; nothing else can be looked up",
    },
    Known { case: "the offer %7b", fields: ALL, why: "a hash is 32 digits; nothing else can be looked up" },
    Known { case: "the offer short", fields: ALL, why: "a hash is 32 digits; nothing else can be looked up" },
    Known {
        case: "the offer {hash}ff",
        fields: ALL,
        why: "a hash is 32 digits; nothing else can be looked up",
    },
    Known {
        case: "silence before a body",
        fields: &["body"],
        why: "two of Swift's timers of the same length hide one another, and the error line is lost",
    },
    Known { case: "silence within a body", fields: &["body"], why: "as before a body" },
    Known {
        case: "a fragment that does not say which",
        fields: &["files"],
        why: "all metadata are texts; stock stores a number among them",
    },
    Known { case: "a request line of three", fields: ALL, why: "such a path does not lie in the partition" },
    Known { case: "a target of ssync: /sdb1/x", fields: ALL, why: "partitions are numbers" },
    Known { case: "a target of ssync: /sdb1/99999", fields: ALL, why: "no partition of the ring" },
    Known {
        case: "HTTP/1.0 that stays",
        fields: ALL,
        why: "RFC 9112 9.3: persistence of HTTP/1.0 is not offered",
    },
    Known {
        case: "blank lines first",
        fields: ALL,
        why: "RFC 9112 2.2: empty lines before a request are ignored",
    },
    Known {
        case: "a host that is none",
        fields: ALL,
        why: "stock breaks off in its own error handling; here the update is kept as after any other failure",
    },
    Known { case: "HTTP/0.9", fields: ALL, why: "nobody speaks it" },
    Known { case: "replication_server = false", fields: &["headers"], why: "Server tells our version" },
    Known { case: "a device that is not mounted", fields: &["headers"], why: "Server tells our version" },
    Known { case: "recon by other methods", fields: &["body", "headers"], why: "it is our version" },
    Known { case: "GET /recon/version", fields: &["body", "headers"], why: "it is our version" },
    Known {
        case: "a footer that no header can be",
        fields: ALL,
        why: "stock stores it, and every later GET breaks off",
    },
    Known {
        case: "Transfer-Encoding \"\"",
        fields: ALL,
        why: "no coding at all is a bad one; stock answers 411 and reads on",
    },
    Known {
        case: "a GET and a DELETE that wait",
        fields: &["headers", "ending"],
        why: "without a body nothing is unclear: it is kept",
    },
    Known {
        case: "an HTTP/1.0 client that waits",
        fields: &["status"],
        why: "RFC 9110 10.1.1: a 100 expectation in HTTP/1.0 is ignored",
    },
    Known {
        case: "the footer {\"X-Object-Meta-A\": [1]}",
        fields: ALL,
        why: "stock stores a list, which no header can be",
    },
    Known { case: "the target /sd%2Fb1/", fields: ALL, why: "partitions are numbers" },
    Known { case: "an empty target", fields: ALL, why: "two spaces are no separator (RFC 9112, 3)" },
    Known { case: "a partition that is no", fields: ALL, why: "stock stores where no ring ever looks" },
    Known {
        case: "the type of parts",
        fields: &["headers", "body"],
        why: "stock encodes what is not ASCII twice in the heads of parts",
    },
    Known {
        case: "a fragment that is none",
        fields: ALL,
        why: "the head of a fragment is the erasure coder's own; its auditor and reconstructors read it",
    },
    Known { case: "a GET of what is another", fields: ALL, why: "a small body is checked before it is sent" },
    Known {
        case: "a range of what is another",
        fields: ALL,
        why: "a small body is checked before it is sent",
    },
];
