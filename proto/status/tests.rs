//! Tests of the status table.

use ssync_types::Invalid;

use super::*;

fn full(reason: Reason) -> Refusal {
    Refusal {
        reason,
        message: format!("{reason:?}: the device `sdb1` says no"),
        field: Some("offers.object_hash".to_owned()),
        retry_after: Some(Duration::from_millis(2500)),
        timestamp: Some(Timestamp::new(138_014_447_012_345, 0xabc).unwrap()),
    }
}

/// What crosses the wire of a call: code, text and details, without the source.
fn over_the_wire(status: &Status) -> Status {
    let headers = status.clone().into_http::<()>().into_parts().0.headers;
    Status::from_header_map(&headers).unwrap()
}

#[test]
fn every_reason_survives_both_ways() {
    for reason in Reason::ALL {
        for refusal in [full(reason), Refusal::new(reason, "no").retry_after(RETRY_AFTER_DEFAULT)] {
            let status = to_status(&refusal);
            assert_eq!(status.code(), code(reason), "{reason:?}");
            assert_ne!(status.code(), Code::Ok, "{reason:?}");
            assert_eq!(from_status(&over_the_wire(&status)), refusal);
            assert_eq!(from_rpc_status(&to_rpc_status(&refusal)), refusal);
            assert_eq!(to_rpc_status(&refusal).code, code(reason) as i32);
        }
    }
}

/// The table of the contract, in the words of those who see only the code.
#[test]
fn codes_are_those_of_the_contract() {
    let expected = [
        (Reason::ReceiverBusy, Code::ResourceExhausted),
        (Reason::PartitionLocked, Code::Aborted),
        (Reason::DeviceLocked, Code::Aborted),
        (Reason::DeviceUnmounted, Code::FailedPrecondition),
        (Reason::DeviceFull, Code::FailedPrecondition),
        (Reason::InvalidArgument, Code::InvalidArgument),
        (Reason::ProtocolOrder, Code::InvalidArgument),
        (Reason::PolicyUnknown, Code::FailedPrecondition),
        (Reason::PolicyUnsupported, Code::FailedPrecondition),
        (Reason::RingMismatch, Code::FailedPrecondition),
        (Reason::NotHandoff, Code::FailedPrecondition),
        (Reason::NotLocal, Code::PermissionDenied),
        (Reason::IdentityUnknown, Code::Unauthenticated),
        (Reason::NotPermitted, Code::PermissionDenied),
        (Reason::FailureRatio, Code::Aborted),
        (Reason::IdleTimeout, Code::DeadlineExceeded),
        (Reason::Draining, Code::Unavailable),
        (Reason::ObjectIo, Code::Internal),
        (Reason::ObjectDamaged, Code::DataLoss),
        (Reason::Collision, Code::FailedPrecondition),
        (Reason::Conflict, Code::Aborted),
        (Reason::NotFound, Code::NotFound),
        (Reason::PreconditionFailed, Code::FailedPrecondition),
        (Reason::RangeNotSatisfiable, Code::OutOfRange),
        (Reason::EtagMismatch, Code::InvalidArgument),
        (Reason::BodyLength, Code::InvalidArgument),
        (Reason::StateChanged, Code::Aborted),
        (Reason::Unreachable, Code::Unavailable),
        (Reason::Unsupported, Code::Unimplemented),
        (Reason::Internal, Code::Internal),
    ];
    assert_eq!(expected.map(|(reason, _)| reason), Reason::ALL);
    for (reason, expected) in expected {
        assert_eq!(code(reason), expected, "{reason:?}");
    }
}

#[test]
fn back_pressure_says_when_to_come_back_and_is_no_outage() {
    for reason in [Reason::ReceiverBusy, Reason::PartitionLocked, Reason::DeviceLocked] {
        let refusal = from_status(&to_status(&Refusal::new(reason, "later")));
        assert_eq!(refusal.retry_after, Some(RETRY_AFTER_DEFAULT));
        assert_ne!(code(reason), Code::Unavailable);
    }
}

#[test]
fn a_malformed_field_is_named_for_people_too() {
    let refusal = Refusal::from(Invalid::new("partition.device", "`../x` is no device name"));
    let status = to_rpc_status(&refusal);
    let bad: BadRequest = find(&status.details, TYPE_BAD_REQUEST).unwrap();
    assert_eq!(bad.field_violations[0].field, "partition.device");
    assert!(bad.field_violations[0].description.contains("../x"));
}

#[test]
fn statuses_of_others_get_the_reason_of_their_code() {
    let cases = [
        (Status::unavailable("upstream connect error"), Reason::Unreachable),
        (Status::permission_denied("RBAC: access denied"), Reason::Unreachable),
        (Status::unauthenticated("who"), Reason::Unreachable),
        (Status::cancelled("gone"), Reason::Unreachable),
        (Status::deadline_exceeded("slow"), Reason::IdleTimeout),
        (Status::resource_exhausted("overflow"), Reason::ReceiverBusy),
        (Status::out_of_range("message too large"), Reason::InvalidArgument),
        (Status::unimplemented(""), Reason::Unsupported),
        (Status::unknown("?"), Reason::Internal),
        (Status::not_found("no"), Reason::NotFound),
    ];
    for (status, reason) in cases {
        assert_eq!(from_status(&over_the_wire(&status)).reason, reason, "{status:?}");
    }
}

#[test]
fn what_the_transport_cut_off_is_unreachable_with_its_causes() {
    let error = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "reset by peer");
    let refusal = from_status(&Status::from_error(Box::new(error)));
    assert_eq!(refusal.reason, Reason::Unreachable);
    assert!(refusal.message.contains("reset by peer"), "{}", refusal.message);
}

#[test]
fn a_reason_of_a_later_version_falls_back_to_its_code() {
    let info = ErrorInfo { reason: "TOO_WARM".into(), domain: DOMAIN.into(), ..Default::default() };
    let foreign =
        ErrorInfo { reason: "NOT_FOUND".into(), domain: "example.com".into(), ..Default::default() };
    for info in [info, foreign] {
        let status = pb::Status {
            code: Code::Aborted as i32,
            message: "?".into(),
            details: vec![any(TYPE_ERROR_INFO, &info)],
        };
        assert_eq!(from_rpc_status(&status).reason, Reason::StateChanged);
    }
}

#[test]
fn damaged_details_are_no_details() {
    let status = Status::with_details(Code::NotFound, "no", vec![0xff; 64].into());
    assert_eq!(from_status(&status).reason, Reason::NotFound);
    let any = Any { type_url: TYPE_ERROR_INFO.to_owned(), value: vec![0xff; 64] };
    let status = pb::Status { code: Code::NotFound as i32, message: String::new(), details: vec![any] };
    assert_eq!(from_rpc_status(&status).reason, Reason::NotFound);
}

#[test]
fn details_stay_below_4_kib_and_texts_are_cut_between_characters() {
    let refusal = Refusal {
        message: "\u{e4}".repeat(5000),
        field: Some("\u{20ac}".repeat(5000)),
        ..full(Reason::InvalidArgument)
    };
    let headers = to_status(&refusal).into_http::<()>().into_parts().0.headers;
    assert!(headers["grpc-status-details-bin"].len() < 4096, "{}", headers["grpc-status-details-bin"].len());
    let back = from_status(&to_status(&refusal));
    assert!(back.message.ends_with("\u{e4}...") && back.message.len() <= MESSAGE_BYTES_MAX);
    assert!(back.field.unwrap().ends_with("\u{20ac}..."));
}

#[test]
fn a_peer_cannot_send_us_away_for_ever() {
    let refusal = full(Reason::ReceiverBusy).retry_after(Duration::from_secs(u64::from(u32::MAX)));
    assert_eq!(from_status(&to_status(&refusal)).retry_after, Some(RETRY_AFTER_MAX));
    let negative = RetryInfo { retry_delay: Some(prost_types::Duration { seconds: -1, nanos: 0 }) };
    let status = pb::Status {
        code: Code::Aborted as i32,
        message: String::new(),
        details: vec![any(TYPE_RETRY_INFO, &negative)],
    };
    assert_eq!(from_rpc_status(&status).retry_after, None);
}

/// What people read is what programs do.
#[test]
fn the_table_in_the_documentation_is_this_one() {
    let documented: Vec<(&str, &str)> = include_str!("../../docs/protocol.md")
        .lines()
        .skip_while(|line| *line != "## Refusals")
        .filter_map(|line| {
            // A reason that has a page of its own is a link to it.
            let plain = |cell: &'static str| {
                cell.split_once("](").map_or(cell, |(name, _)| name).trim_matches(['[', '`'])
            };
            let mut cells = line.split('|').map(|cell| plain(cell.trim()));
            (cells.next() == Some("")).then(|| Some((cells.next()?, cells.next()?)))?
        })
        .filter(|(reason, _)| Reason::from_name(reason).is_some())
        .collect();
    let table = Reason::ALL.map(|reason| (reason.name(), code_name(code(reason))));
    assert_eq!(documented, table);
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
