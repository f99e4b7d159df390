//! Where a request's object lives: device, partition and name from the path, the policy from a header (Swift:
//! common/request_helpers.py get_name_and_placement, obj/server.py get_obj_name_and_placement).

use ssync_protocol::quote;
use ssync_types::{
    DeviceName, Invalid, Metadata, ObjectPath, ObjectRef, Partition, PartitionRef, PolicyIndex,
    python_integer,
};

use crate::{
    Policies,
    http::Response,
    path::Path,
    python_text::latin1,
    status::{HTML, Refused, page, text},
};

/// Names that begin with this byte are Swift's own.
const RESERVED: u8 = 0;
/// Accounts that begin so may hold names of any kind.
const AUTO_CREATE_ACCOUNT_PREFIX: &[u8] = b".";

fn invalid(path: &Path) -> Refused {
    Box::new(text(400, format!("Invalid path: {}", path.quoted())))
}

/// The policy that a header names; 503 for one that is not there.
pub(crate) fn policy(headers: &Metadata, policies: &Policies) -> Result<PolicyIndex, Refused> {
    let named = headers.get("X-Backend-Storage-Policy-Index").map(|value| latin1(value)).unwrap_or_default();
    let number = if named.is_empty() { Some(0) } else { python_integer(&named, 10) };
    let index = number.and_then(|number| u32::try_from(number).ok()).map(PolicyIndex::new);
    index
        .filter(|&index| policies.kind(index).is_some())
        .ok_or_else(|| Box::new(text(503, format!("No policy with index {named}"))))
}

/// `/device/partition/account/container/object`.
pub(crate) fn object(path: &Path, headers: &Metadata, policies: &Policies) -> Result<ObjectRef, Refused> {
    let policy = policy(headers, policies)?;
    let parts: Vec<&[u8]> = path.as_bytes().splitn(6, |&b| b == b'/').collect();
    let [b"", device, partition, account, container, object] = parts[..] else { return Err(invalid(path)) };
    if [device, partition, account, container, object].iter().any(|part| part.is_empty()) {
        return Err(invalid(path));
    }
    let partition = partition_ref(device, partition, policy)?;
    check_reserved(account, container, object)?;
    let name = [b"/", account, b"/", container, b"/", object].concat();
    let name = ObjectPath::parse(name).map_err(|invalid| refused_name(&invalid))?;
    Ok(ObjectRef { partition, path: name })
}

/// `/device/partition` and, where `with_rest` allows it, what follows.
pub(crate) fn partition<'p>(
    path: &'p Path,
    headers: &Metadata,
    policies: &Policies,
    with_rest: bool,
) -> Result<(PartitionRef, &'p [u8]), Refused> {
    let policy = policy(headers, policies)?;
    let parts: Vec<&[u8]> = path.as_bytes().splitn(4, |&b| b == b'/').collect();
    let (device, partition, rest) = match parts[..] {
        [b"", device, partition] => (device, partition, &b""[..]),
        [b"", device, partition, rest] if with_rest || rest.is_empty() => (device, partition, rest),
        _ => return Err(invalid(path)),
    };
    if device.is_empty() || partition.is_empty() {
        return Err(invalid(path));
    }
    Ok((partition_ref(device, partition, policy)?, rest))
}

fn partition_ref(device: &[u8], partition: &[u8], policy: PolicyIndex) -> Result<PartitionRef, Refused> {
    let shown = |part: &[u8]| String::from_utf8_lossy(&quote(part)).into_owned();
    for (part, what) in [(device, "device"), (partition, "partition")] {
        if matches!(part, b"." | b"..") {
            return Err(Box::new(text(400, format!("Invalid {what}: {}", shown(part)))));
        }
    }
    let digits = partition.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(partition).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    let number =
        number.ok_or_else(|| Box::new(text(400, format!("Invalid partition: {}", shown(partition)))))?;
    // To Swift, too, a name that no device can have is a device that is not mounted (constraints.py check_drive).
    let device = String::from_utf8_lossy(device)
        .parse::<DeviceName>()
        .map_err(|_| Box::new(page(507, &String::from_utf8_lossy(device))))?;
    Ok(PartitionRef { device, partition: Partition::new(number), policy, fragment: None })
}

/// The checks of a name that a path through the ring has passed already.
pub(crate) fn check_name(path: &ObjectPath) -> Result<(), Refused> {
    let (account, container, object) = path.parts();
    check_reserved(account, container, object)
}

/// The answer to a name or value that is not of its form.
pub(crate) fn refused_name(invalid: &Invalid) -> Refused {
    Box::new(text(400, invalid.to_string()))
}

/// Swift: request_helpers.py validate_internal_obj.
fn check_reserved(account: &[u8], container: &[u8], object: &[u8]) -> Result<(), Refused> {
    let refused = |what: &'static str| Err(Box::new(Response::new(400, HTML, what)));
    let is_reserved = |name: &[u8]| name.first() == Some(&RESERVED);
    let is_mixed = |name: &[u8]| !is_reserved(name) && name.contains(&RESERVED);
    if is_mixed(account) {
        return refused("Invalid reserved-namespace account");
    }
    if is_mixed(container) {
        return refused("Invalid reserved-namespace container");
    }
    if account.starts_with(AUTO_CREATE_ACCOUNT_PREFIX) {
        return Ok(());
    }
    if is_mixed(object) {
        return refused("Invalid reserved-namespace object");
    }
    match (is_reserved(container), is_reserved(object)) {
        (true, false) => refused("Invalid user-namespace object in reserved-namespace container"),
        (false, true) => refused("Invalid reserved-namespace object in user-namespace container"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PolicyKind;

    fn policies() -> Policies {
        [(PolicyIndex::new(0), PolicyKind::Replication), (PolicyIndex::new(1), PolicyKind::ErasureCoding)]
            .into_iter()
            .collect()
    }

    fn place(target: &str) -> Result<ObjectRef, u16> {
        object(&Path::of_target(target.as_bytes()), &Metadata::new(), &policies())
            .map_err(|refused| refused.status)
    }

    #[test]
    fn decodes_paths_byte_by_byte() {
        let placed = place("/sdb1/12/a/c/o%2Fp%20%C3%A9/?q=1").unwrap();
        assert_eq!(placed.path.as_bytes(), "/a/c/o/p \u{e9}/".as_bytes());
        assert_eq!((placed.partition.device.as_str(), placed.partition.partition.get()), ("sdb1", 12));
        assert_eq!(place("/sdb1/12/a/c/o#1").unwrap().path.as_bytes(), b"/a/c/o#1");
        assert_eq!(place("http://host/sdb1/12/a/c/o").unwrap().path.as_bytes(), b"/a/c/o");
        assert_eq!(place("/sdb1/12/a/c/http://x").unwrap().path.as_bytes(), b"/a/c/http://x");
    }

    #[test]
    fn refuses_other_paths() {
        let pairs = [
            ("/", 400),
            ("/sdb1/12/a/c", 400),
            ("/sdb1/12/a/c/", 400),
            ("//12/a/c/o", 400),
            ("sdb1/12/a/c/o", 400),
            ("/../12/a/c/o", 400),
            ("/%2e%2e/12/a/c/o", 400),
            ("/sdb1/../a/c/o", 400),
            ("/sdb1/x/a/c/o", 400),
            ("/sdb1/+1/a/c/o", 400),
            ("/sdb1/4294967296/a/c/o", 400),
            ("/s%20b/12/a/c/o", 507),
        ];
        for (target, status) in pairs {
            assert_eq!(place(target), Err(status), "{target}");
        }
    }

    #[test]
    fn keeps_reserved_names_apart() {
        for good in ["/d/1/a/%00c/%00o", "/d/1/.a/c/%00o", "/d/1/%00a/c/o"] {
            assert!(place(good).is_ok(), "{good}");
        }
        for bad in ["/d/1/a/c/%00o", "/d/1/a/%00c/o", "/d/1/a/c/o%00", "/d/1/a/c%00/o", "/d/1/a%00/c/o"] {
            assert_eq!(place(bad), Err(400), "{bad}");
        }
    }

    #[test]
    fn a_policy_must_be_there() {
        let named = |value: &'static str| {
            let mut headers = Metadata::new();
            headers.set("X-Backend-Storage-Policy-Index", value);
            policy(&headers, &policies()).map_err(|refused| refused.status)
        };
        assert_eq!(named(""), Ok(PolicyIndex::new(0)));
        assert_eq!(named("0_0"), Ok(PolicyIndex::new(0)));
        assert_eq!(named(" 01"), Ok(PolicyIndex::new(1)));
        for bad in ["7", "x", "-1", "99999999999999999999"] {
            assert_eq!(named(bad), Err(503), "{bad}");
        }
    }

    #[test]
    fn a_partition_may_have_suffixes() {
        let split = |target: &str, with_rest| {
            partition(&Path::of_target(target.as_bytes()), &Metadata::new(), &policies(), with_rest)
                .map(|(_, rest)| rest.to_vec())
                .map_err(|refused| refused.status)
        };
        assert_eq!(split("/d/1", false), Ok(Vec::new()));
        assert_eq!(split("/d/1/", false), Ok(Vec::new()));
        assert_eq!(split("/d/1/abc-def", true), Ok(b"abc-def".to_vec()));
        assert_eq!(split("/d/1/abc", false), Err(400));
        assert_eq!(split("/d", true), Err(400));
        assert_eq!(split("/d/", true), Err(400));
    }
}
