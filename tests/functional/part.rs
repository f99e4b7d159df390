//! The part of the suite that runs each time: what reaches an object server in the most ways, for little time.

use std::time::Duration;

use anyhow::Result;
use ssync_tests::Shape;

use crate::{comparison::compare, suite::Variant};

/// Longest for one of the runs.
const RUN_MAX: Duration = Duration::from_secs(4 * 60);
/// Plain objects, conditions and ranges, copies, metadata at the limits, expiry, manifests, links, versions, S3.
const TESTS: [&str; 13] = [
    "test/functional/test_object.py::TestObject",
    "test/functional/tests.py::TestFile",
    "test/functional/tests.py::TestFileComparison",
    "test/functional/test_dlo.py::TestDloUTF8",
    "test/functional/test_slo.py::TestSlo",
    "test/functional/test_symlink.py::TestSymlinkToSloSegments",
    "test/functional/test_tempurl.py::TestTempurl",
    "test/functional/test_tempurl.py::TestSloTempurl",
    "test/functional/test_versioned_writes.py::TestCrossPolicyObjectVersioning",
    "test/functional/test_object_versioning.py::TestSloWithVersioning",
    "test/functional/s3api/test_object.py::TestS3ApiObjectBoto3",
    // A fifth of the time; the proxy alone answers.
    "--deselect=test/functional/tests.py::TestFile::testFileSizeLimit",
    "--deselect=test/functional/tests.py::TestFile::testBadHeaders",
];
/// Footers and commits, as each PUT has them where objects are encrypted and coded.
const TESTS_OF_DOCUMENTS: [&str; 3] = [
    "test/functional/test_object.py::TestObject::test_if_none_match",
    "test/functional/tests.py::TestFileComparison",
    "test/functional/test_slo.py::TestSlo::test_slo_copy_the_manifest",
];

fn of(variant: Variant, shapes: &[Shape], tests: &[&str], least: usize) -> Result<()> {
    let arguments: Vec<String> = tests.iter().map(|&test| test.to_owned()).collect();
    compare(variant, shapes, &arguments, RUN_MAX, least)
}

#[test]
fn plain() -> Result<()> {
    of(Variant::default(), &[Shape::OneProcess], &TESTS, 170)
}

#[test]
fn encrypted_and_coded_in_two_processes() -> Result<()> {
    of(Variant { encryption: true, coded: true }, &[Shape::TwoOverUnix], &TESTS_OF_DOCUMENTS, 9)
}
