//! Metadata in extended attributes: a pickle in pieces, and its checksum (Swift: diskfile.py write_metadata,
//! _read_file_metadata, _encode_metadata, _decode_metadata).
//!
//! Inside the program a name and a value are the bytes of a header. On a disk Python 3 keeps them as text of which each
//! character is one such byte, in UTF-8; Python 2 kept the bytes. Only this file knows.

use std::io;

use bytes::Bytes;
use md5::{Digest as _, Md5};
use rustix::io::Errno;
use ssync_pickle::Value;
use ssync_types::{HeaderName, Metadata};

use crate::{digest, directory::errno, disk::DiskFile};

const METADATA: &str = "user.swift.metadata";
const CHECKSUM: &str = "user.swift.metadata_checksum";
/// Largest piece that Swift writes, and that Linux keeps.
const PIECE_BYTES_MAX: usize = 65_536;
/// Most pieces read: with the 254 bytes of before 2014 this is 1 MiB.
const PIECES_MAX: u32 = 4096;
/// Most bytes of pickle read.
const PICKLE_BYTES_MAX: usize = 4 << 20;

/// What a file's attributes hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// The object's full name, if there is one.
    pub(crate) name: Option<Bytes>,
    pub(crate) metadata: Metadata,
}

/// Why attributes could not be had.
#[derive(Debug)]
pub(crate) enum AttributesError {
    /// They are damaged; what is wrong.
    Damaged(String),
    /// The file system refused.
    Io(io::Error),
}

/// Writes them, before the file gets its name.
pub(crate) fn write(file: &dyn DiskFile, attributes: &Attributes) -> io::Result<()> {
    let pickle = encode(attributes);
    for (index, piece) in pickle.chunks(PIECE_BYTES_MAX).enumerate() {
        file.set_attribute(&piece_name(index as u32), piece)?;
    }
    file.set_attribute(CHECKSUM, checksum(&pickle).as_bytes())
}

/// Reads them.
pub(crate) fn read(file: &dyn DiskFile) -> Result<Attributes, AttributesError> {
    let first = attribute(file, METADATA)?;
    // Objects from before Swift 2.16 have no checksum; an empty one says as little.
    let stored = attribute(file, CHECKSUM)?.filter(|stored| !stored.is_empty());
    let is_whole = |pickle: &[u8]| stored.as_ref().map(|stored| stored == checksum(pickle).as_bytes());
    let is_there = first.is_some();
    let mut pickle = first.unwrap_or_default();
    let mut whole = is_whole(&pickle);
    // What the checksum is of is all that was written; Swift asks for one piece more to see the end.
    if is_there && whole != Some(true) {
        add_further_pieces(file, &mut pickle)?;
        whole = is_whole(&pickle);
    }
    if whole == Some(false) {
        return Err(AttributesError::Damaged("has metadata whose checksum does not match".to_owned()));
    }
    decode(&pickle).map_err(AttributesError::Damaged)
}

fn add_further_pieces(file: &dyn DiskFile, pickle: &mut Vec<u8>) -> Result<(), AttributesError> {
    for index in 1..PIECES_MAX {
        match attribute(file, &piece_name(index))? {
            Some(piece) => pickle.extend_from_slice(&piece),
            None => return Ok(()),
        }
        if pickle.len() > PICKLE_BYTES_MAX {
            break;
        }
    }
    Err(AttributesError::Damaged(format!("has more than {PICKLE_BYTES_MAX} bytes of metadata")))
}

/// One attribute. `None` where there is none, and as in Swift where the disk cannot give it back: what is missing shows when the
/// rest is understood. Where the machine is in trouble (no memory, no permission) Swift takes that for damage too, and moves
/// an object to quarantine that is healthy; here it is an error.
fn attribute(file: &dyn DiskFile, name: &str) -> Result<Option<Vec<u8>>, AttributesError> {
    match file.attribute(name) {
        Ok(value) => Ok(Some(value)),
        Err(error) => match errno(&error) {
            Some(Errno::NODATA | Errno::IO | Errno::UCLEAN | Errno::BADMSG) => Ok(None),
            _ => Err(AttributesError::Io(error)),
        },
    }
}

fn piece_name(index: u32) -> String {
    if index == 0 { METADATA.to_owned() } else { format!("{METADATA}{index}") }
}

fn checksum(pickle: &[u8]) -> String {
    digest::hex(Md5::new_with_prefix(pickle))
}

pub(crate) fn encode(attributes: &Attributes) -> Vec<u8> {
    let text = |bytes: &[u8]| Value::Bytes(characters(bytes).into_bytes());
    let mut pairs: Vec<_> =
        attributes.metadata.iter().map(|(name, value)| (text(name.as_bytes()), text(value))).collect();
    if let Some(name) = &attributes.name {
        // The one value that is not the text of a header: it is UTF-8 as it is.
        pairs.push((Value::bytes("name"), Value::bytes(name.to_vec())));
    }
    ssync_pickle::write(&Value::Dict(pairs))
}

pub(crate) fn decode(pickle: &[u8]) -> Result<Attributes, String> {
    let value = ssync_pickle::read(pickle).map_err(|error| format!("has unreadable metadata ({error})"))?;
    let pairs = value.as_dict().ok_or("has metadata that is no dict")?;
    let python3 = ssync_pickle::written_by_python3(pickle);
    let mut attributes = Attributes::default();
    for (key, value) in pairs {
        if key.as_raw() == Some(b"name") {
            attributes.name =
                Some(Bytes::copy_from_slice(value.as_raw().ok_or("has a name that is no text")?));
        } else {
            let name = HeaderName::canonical(&header_bytes(key, python3)?);
            attributes.metadata.insert(name, header_bytes(value, python3)?);
        }
    }
    Ok(attributes)
}

fn header_bytes(value: &Value, python3: bool) -> Result<Vec<u8>, String> {
    match value {
        Value::Bytes(bytes) if !python3 => Ok(bytes.clone()),
        // Text among the bytes of Python 2 is taken for a header's text, as Python 3 takes it.
        Value::Bytes(text) | Value::Text(text) => Ok(bytes_of_characters(text)),
        Value::Int(number) => Ok(number.to_string().into_bytes()),
        _ => Err("has metadata that is neither text nor number".to_owned()),
    }
}

/// Each byte as the character of its number.
fn characters(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Each character as the byte of its number. What Swift never writes (bytes that are no UTF-8, characters beyond U+00FF)
/// stays as it is.
fn bytes_of_characters(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match u8::try_from(character) {
                Ok(byte) => bytes.push(byte),
                Err(_) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        bytes.extend_from_slice(chunk.invalid());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::{Disk, OpenMode};

    fn attributes() -> Attributes {
        let mut metadata = Metadata::new();
        metadata.set("X-Timestamp", "0000000001.00000");
        metadata.insert(HeaderName::canonical(b"x-object-meta-t\xc3\xa8st"), &b"\xc3\xa8\xff"[..]);
        metadata.set("X-Object-Meta-Long", "l".repeat(300));
        Attributes { name: Some(Bytes::from_static("/a/c/\u{e8}".as_bytes())), metadata }
    }

    #[test]
    fn reads_what_it_writes_with_any_bytes() {
        let pickle = encode(&attributes());
        assert!(ssync_pickle::written_by_python3(&pickle), "the trap of the first 32 bytes");
        assert_eq!(decode(&pickle).unwrap(), attributes());
    }

    #[test]
    fn stores_header_bytes_as_python3_does() {
        let pickle = encode(&attributes());
        // 0xc3 is U+00C3; as UTF-8 c3 83; and each of these once more as a character inside the pickle.
        let twice = b"\xc3\x83\xc2\x83\xc3\x82\xc2\xa8";
        assert!(pickle.windows(twice.len()).any(|window| window == twice));
        // The name is encoded by the pickle alone.
        let once = b"/a/c/\xc3\x83\xc2\xa8";
        assert!(pickle.windows(once.len()).any(|window| window == once));
    }

    #[test]
    fn reads_python2() {
        // Protocol 2, SHORT_BINSTRING, raw bytes; one unicode item among them.
        let pickle =
            b"\x80\x02}(U\x04nameU\x07/a/c/\xc3\xa8U\x01XU\x02\xc3\xa8U\x01YX\x02\x00\x00\x00\xc3\xa8u.";
        let read = decode(pickle).unwrap();
        assert_eq!(read.name.as_deref(), Some(&b"/a/c/\xc3\xa8"[..]));
        assert_eq!(read.metadata.get("X").unwrap(), &b"\xc3\xa8"[..]);
        assert_eq!(read.metadata.get("Y").unwrap(), &b"\xe8"[..]);
    }

    fn file_with(pieces: &[&[u8]], checksum: Option<&str>) -> Box<dyn DiskFile> {
        let disk = crate::simulation::SimDisk::new(crate::simulation::Options::default());
        let file = Disk::open(&disk, Path::new("f"), OpenMode::CreateNew).unwrap();
        for (index, piece) in (0..).zip(pieces) {
            file.set_attribute(&piece_name(index), piece).unwrap();
        }
        checksum.iter().for_each(|sum| file.set_attribute(CHECKSUM, sum.as_bytes()).unwrap());
        file
    }

    /// Before 2014 Swift wrote pieces of 254 bytes, and no checksum.
    #[test]
    fn pieces_are_read_until_they_are_whole_or_there_are_no_more() {
        let pickle = encode(&attributes());
        let pieces: Vec<_> = pickle.chunks(254).collect();
        assert!(pieces.len() > 1);
        let is_read = |pieces: &[&[u8]], sum: Option<&str>| match read(&*file_with(pieces, sum)) {
            Ok(read) => read == attributes(),
            Err(_) => false,
        };
        let right = checksum(&pickle);
        for sum in [None, Some(""), Some(&*right)] {
            assert!(is_read(&pieces, sum), "{sum:?}");
            assert!(is_read(&[&pickle], sum), "{sum:?}");
        }
        let wrong = checksum(b"");
        assert!(!is_read(&pieces, Some(&wrong)) && !is_read(&[&pickle], Some(&wrong)));
        assert!(!is_read(&[], None) && !is_read(&[], Some(&right)) && !is_read(&[], Some(&wrong)));
        let half = checksum(pieces[0]);
        assert!(!is_read(&pieces, Some(&half)), "the first piece alone is no pickle");
        assert!(
            is_read(&[&pickle, b"left over"], Some(&right)),
            "what is beyond the checksum is not asked for"
        );
    }

    #[test]
    fn refuses_what_is_no_dict_of_text() {
        for bad in [&b""[..], b"\x80\x02N.", b"\x80\x02}U\x01X}s.", b"cos\nsystem\n."] {
            assert!(decode(bad).is_err(), "{bad:?}");
        }
    }
}
