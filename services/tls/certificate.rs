//! What a certificate says: the names of its holder, and until when.

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use ssync_types::SubjectName;
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
};

/// Most names that are looked at; who has more is none of ours.
const NAMES_MAX: usize = 64;
/// Longest name that is looked at: a SPIFFE id has 2,048 bytes at most.
const NAME_BYTES_MAX: usize = 2048;

/// What is read of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Its subject alternative names, of the kinds that are used here.
    pub(crate) names: Vec<SubjectName>,
    /// The second since 1970 at which it ends.
    pub(crate) not_after: i64,
}

/// Reads a certificate. Only one whose signature was checked before is worth anything.
pub(crate) fn read(certificate: &CertificateDer<'_>) -> Result<Certificate, String> {
    let (_, parsed) = X509Certificate::from_der(certificate.as_ref()).map_err(|error| error.to_string())?;
    let names = match parsed.subject_alternative_name().map_err(|error| error.to_string())? {
        Some(found) => {
            let names = &found.value.general_names;
            if names.len() > NAMES_MAX {
                return Err(format!("it has {} names, and {NAMES_MAX} are the most", names.len()));
            }
            names.iter().filter_map(name).collect()
        }
        None => Vec::new(),
    };
    Ok(Certificate { names, not_after: parsed.validity().not_after.timestamp() })
}

fn name(name: &GeneralName<'_>) -> Option<SubjectName> {
    match name {
        GeneralName::DNSName(text) if text.len() <= NAME_BYTES_MAX => {
            Some(SubjectName::Dns((*text).to_owned()))
        }
        GeneralName::URI(text) if text.len() <= NAME_BYTES_MAX => Some(SubjectName::Uri((*text).to_owned())),
        GeneralName::IPAddress(bytes) => address(bytes).map(SubjectName::Ip),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Authority;

    #[test]
    fn names_of_all_kinds_are_read_and_the_end_of_its_time() {
        let authority = Authority::new("ca");
        let issued = authority.issue(&["node-7.example", "10.0.0.7", "::1", "spiffe://cluster/node-7"]);
        let read = read(&issued.certificate_der()).unwrap();
        assert_eq!(
            read.names,
            [
                SubjectName::Dns("node-7.example".into()),
                SubjectName::Ip("10.0.0.7".parse().unwrap()),
                SubjectName::Ip("::1".parse().unwrap()),
                SubjectName::Uri("spiffe://cluster/node-7".into()),
            ]
        );
        assert!(read.not_after > 1_700_000_000);
        let old = super::read(&authority.expired(&["10.0.0.7"]).certificate_der()).unwrap();
        assert!(old.not_after < 1_700_000_000);
    }

    #[test]
    fn what_is_no_certificate_and_what_has_too_many_names_is_refused() {
        assert!(read(&CertificateDer::from(vec![0x30, 0x03, 0x02, 0x01, 0x01])).is_err());
        assert!(read(&CertificateDer::from(Vec::new())).is_err());
        let names: Vec<String> = (0..=NAMES_MAX).map(|n| format!("n{n}.example")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(read(&Authority::new("ca").issue(&names).certificate_der()).is_err());
    }
}
