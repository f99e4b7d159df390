//! What is judged of removals and findings.
