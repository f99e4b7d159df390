//! What may differ from stock Swift, and why.

use crate::wire::{Ending, Reply};

/// What a server did at one step.
pub(crate) type Answers = (Vec<Reply>, Option<Ending>);

/// A step where stock Swift does what nobody should do, whatever the case.
#[derive(Debug)]
pub(crate) struct Rule {
    #[allow(dead_code)]
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
        why: "what the parser refuses has no body in stock, HTTP/1.0 in its first line and a spelling of its own",
        covers: |stock, ours| {
            let bare = last(stock).is_some_and(|reply| reply.status.starts_with("HTTP/1.0 4"));
            bare && first_final(stock) == first_final(ours) && ours.1 != Some(Ending::Kept)
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
];

/// A case that differs.
#[derive(Debug)]
pub(crate) struct Known {
    /// The start of its name.
    pub(crate) case: &'static str,
    /// `status`, `headers`, `body`, `ending`, `files` or `updates`.
    pub(crate) fields: &'static [&'static str],
    #[allow(dead_code)]
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
    Known { case: "a GET of what is another", fields: ALL, why: "a small body is checked before it is sent" },
    Known {
        case: "a range of what is another",
        fields: ALL,
        why: "a small body is checked before it is sent",
    },
];
